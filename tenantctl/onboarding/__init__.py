"""A tenant comes: its request, its database, its logins."""
