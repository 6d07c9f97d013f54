"""The revisions of the registry's schema, one module each, in the order of their names."""
