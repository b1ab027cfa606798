"""What tests of whole videos share: the length of their videos and quick settings of the encoder."""

FRAMES = 14
FAST = {"preset": "ultrafast"}
