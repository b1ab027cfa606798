"""Windows of a clip through a network."""
