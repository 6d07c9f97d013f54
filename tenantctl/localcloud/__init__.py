"""A small Google Cloud on loopback: real PostgreSQL, the Cloud SQL Admin API, an object store, one clock."""
