"""Measure the head kernels against their peers."""
