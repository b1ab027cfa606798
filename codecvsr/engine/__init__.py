"""How a model is run: device and precision."""
