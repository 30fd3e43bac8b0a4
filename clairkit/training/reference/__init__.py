"""Compute the log-probs of the reference model, or read them from the cache."""
