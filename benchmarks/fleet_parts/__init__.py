"""What `benchmarks/fleet.py` is made of."""
