"""Weights files: reading, naming, converting, fetching."""
