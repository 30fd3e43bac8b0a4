"""Run everything on a small model that ships inside: what a user meets first.

`revise`, `check` and `check_sum` are what the command line names as
`python:clairkit.quickstart:revise` and so on; importing them loads nothing heavy.
"""

from pathlib import Path

from clairkit.quickstart.task import check, check_arithmetic, check_sum, revise

MODEL = Path(__file__).parent / "model"
"""The folder of the model that ships with the package."""

__all__ = ["MODEL", "check", "check_arithmetic", "check_sum", "revise"]
