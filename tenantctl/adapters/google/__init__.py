"""Cloud SQL and Cloud Storage through Google's own clients."""
