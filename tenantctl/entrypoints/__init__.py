"""The doors: a shell, and later a service and jobs."""
