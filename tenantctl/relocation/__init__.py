"""A tenant moves: into another region, while its customer works."""
