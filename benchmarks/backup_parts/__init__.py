"""What `benchmarks/backup.py` is made of: databases, the road to them, our own work, and what others would do."""
