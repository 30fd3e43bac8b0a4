"""The command `build-pairs`."""
