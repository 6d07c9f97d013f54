"""What measures the program; each script runs alone: `python benchmarks/NAME.py [--json FILE]`."""
