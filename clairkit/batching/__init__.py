"""Pairs to padded batches of token ids, with explicit prompt and response masks."""
