"""Many models on the same clips: what is measured, kept, tabulated and drawn."""
