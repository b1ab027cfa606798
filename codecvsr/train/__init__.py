"""Training the network: recipe, data, loop."""
