"""Benchmark clips and their high-resolution sources."""
