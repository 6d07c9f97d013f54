"""Billing: what is done with its events, and what it is told."""
