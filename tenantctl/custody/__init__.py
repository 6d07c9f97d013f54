"""Who may touch a tenant's data: for a stated reason, on record, and never more than was asked for."""
