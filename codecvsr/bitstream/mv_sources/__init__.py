"""Programs that print motion vectors, and their formats."""
