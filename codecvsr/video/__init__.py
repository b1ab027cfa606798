"""Containers: probing, seeking, streams, muxing."""
