"""Find out which pairs, which loss and which strength: trials, one table, and a choice."""

from clairkit.sweep.result import SweepResult
from clairkit.sweep.run import run_sweep
from clairkit.sweep.spec import SweepSpec, read_sweep

__all__ = ["SweepResult", "SweepSpec", "read_sweep", "run_sweep"]
