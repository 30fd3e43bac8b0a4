"""A run in a process of its own, so that its peak memory is the run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from killed_runs import CONTEXT


class Measured(NamedTuple):
    """What a run took; memory in MB."""

    seconds: float
    before: float
    peak: float
    form: str
    counts: Mapping[str, int]


def _run(file: str, flags: Mapping[str, str], settings: Sequence[str], answers: Any) -> None:
    import torch

    from clairkit.training import resolve, run_training
    from clairkit.training.memory import peak_memory_mb

    torch.set_num_threads(2)
    before = peak_memory_mb()
    found = run_training(resolve(flags, settings, file))
    answers.put(
        Measured(found.seconds, before, found.peak_memory_mb, found.form, dict(found.counts))
    )


def measured_run(file: str, flags: Mapping[str, str], settings: Sequence[str]) -> Measured:
    """Train as a YAML file says, changed by flags and `--set`."""
    answers = CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=_run, args=(file, flags, settings, answers))
    process.start()
    process.join()
    assert process.exitcode == 0
    found: Measured = answers.get()
    return found
