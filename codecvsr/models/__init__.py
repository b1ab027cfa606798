"""Networks, their weights, and how to load them."""
