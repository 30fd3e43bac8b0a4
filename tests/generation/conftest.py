"""Fixtures shared by the tests that ask models."""

from asking import _key, build, make_rows

__all__ = ["_key", "build", "make_rows"]
