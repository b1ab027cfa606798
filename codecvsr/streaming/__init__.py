"""Live: a stream in, an enlarged stream out, in one pass and with bounded latency and memory."""
