"""A tenant leaves: deactivation, grace, destruction, and what remains."""
