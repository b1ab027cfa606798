"""Compare models on the same clips: measurements, tables, charts and pictures."""
