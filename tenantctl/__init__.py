"""Keeps the promises made about customers databases, and proves it."""

__version__ = "0.1.0"
