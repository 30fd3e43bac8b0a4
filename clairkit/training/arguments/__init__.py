"""Check the arguments of a training run: types, ranges and defaults."""
