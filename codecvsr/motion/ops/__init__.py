"""Array operations of the motion stages: numpy reference and native library."""
