"""What `benchmarks/relocation.py` is made of: a database to move, and who writes into it meanwhile."""
