"""Copies and their terms: when they are made, where they lie, how they are proved, when they lapse."""
