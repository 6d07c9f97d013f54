"""Claims what is due and executes a plan step by step; knows no capability."""
