"""Explain, verify, merge and remove what a run made."""
