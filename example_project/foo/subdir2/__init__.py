"""The animals."""
