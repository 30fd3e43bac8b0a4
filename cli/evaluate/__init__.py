"""Define `clairkit evaluate`."""
