"""A barn."""
