"""A small farm."""

__version__ = "1.0.0"
