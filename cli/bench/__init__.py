"""Define `clairkit bench`."""
