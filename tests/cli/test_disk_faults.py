"""Whatever the disk does, and whenever a command is killed: nothing is lost, the same call ends it.

Each call, write and commit of each command fails once, or is where the process is killed. After
that the output is the old one or the new one, the same call gives what an undisturbed one gives,
`verify` is content, and of people that were removed nothing is left.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_forks import CommandForks
from fault_cases import CASES, FaultCase, Trial
from moments import Moment

FAULTS = {"kill": None, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandForks]:
    with CommandForks(tmp_path_factory.mktemp("said")) as started:
        yield started


QUICK = ("build anew", "build to a folder", "remove from o", "merge to o.jsonl", "batch import")
"""A case of each command; all of them run in `make test`."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow, id=case.name)
        for case in CASES
    ],
)
def test_a_fault_costs_nothing(case: FaultCase, forks: CommandForks, tmp_path: Path) -> None:
    """At three points of each command, which lie elsewhere in each of them."""
    trial = Trial(case, forks, tmp_path)
    shift = CASES.index(case)
    for at, error in enumerate(FAULTS.values()):
        point = 1 + (trial.points * (2 * at + 1) // 6 + 5 * shift) % trial.points
        trial.fault(Moment(point, error=error))


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_at_any_point_costs_nothing(
    case: FaultCase,
    fault: str,
    forks: CommandForks,
    tmp_path: Path,
) -> None:
    trial = Trial(case, forks, tmp_path)
    ends: Counter[str] = Counter()
    wrong = []
    for point in range(1, trial.points + 1):
        try:
            ends[trial.fault(Moment(point, error=FAULTS[fault]))] += 1
        except AssertionError as error:
            wrong.append(f"{fault} at {point}: {error}")
    print(f"\n{case.name}, {fault}: {trial.points} points, ended {dict(ends)}")  # noqa: T201
    assert not wrong, f"{len(wrong)} of {trial.points}:\n" + "\n".join(wrong)
    assert sum(ends.values()) == trial.points > 20
