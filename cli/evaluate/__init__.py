"""`clairkit evaluate`."""
