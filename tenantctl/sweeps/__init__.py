"""The loops over the fleet: observe, plan, execute, report."""
