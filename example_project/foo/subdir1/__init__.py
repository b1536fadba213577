"""Where the herd is kept."""
