"""Define the command `score`."""
