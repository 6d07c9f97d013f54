"""Where a tenant may live: geocoding, residency, and the closest region."""
