"""Whole videos: a durable job, chunk by chunk."""
