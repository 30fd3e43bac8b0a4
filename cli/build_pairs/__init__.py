"""Define the command `build-pairs`."""
