"""Networks on a CPU through the native network library."""
