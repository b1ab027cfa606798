"""The networks, their weights, and how to load them."""
