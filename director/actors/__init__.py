"""What runs inside Thespian. Nothing is imported here: actors load only what they need."""
