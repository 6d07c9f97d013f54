"""Tenants, states, plans, policy, calendar and errors: pure, without technology and without a clock."""
