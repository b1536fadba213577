"""The artifact: pure functions over bytes, no I/O beyond reading what they are given."""
