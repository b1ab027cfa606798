"""From files to files: benchmark clips, windows, inference."""
