"""How a model is run: device, precision, memory format, graphs, compiling, transfers, and what it costs."""
