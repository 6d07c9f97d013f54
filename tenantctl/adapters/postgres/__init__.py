"""The registry and the tenants' databases, on PostgreSQL."""
