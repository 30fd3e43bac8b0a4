"""Estimate calls, tokens and money before a run starts."""
