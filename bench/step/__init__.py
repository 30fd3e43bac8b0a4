"""Measure a whole training step against other trainers."""
