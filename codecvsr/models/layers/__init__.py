"""Layers that networks share: blocks, warping, deformable convolution, shift-and-add."""
