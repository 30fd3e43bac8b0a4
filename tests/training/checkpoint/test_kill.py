"""Killed with SIGKILL and resumed until done, a run ends as one that nobody disturbed, bit for bit.

Metrics included: no row is lost, doubled or torn.
"""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from killed_runs import Moment, make_inputs, outcome, run_once

Outcome = tuple[bytes, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def undisturbed(flags: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run_once({**flags, "output": str(run)})
    seen = json.loads((run / "seen.json").read_text())
    assert {"weights", "torch.save", "rename", "replace", "unlink", "evaluation"} <= set(seen)
    assert [seen.count(kind) for kind in ("micro-batch", "step")] == [15, 5]
    return outcome(run)


def killed(kind: str, *counts: int) -> list[Moment]:
    return [Moment(count, kind) for count in counts]


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(killed("micro-batch", 5, 5), id="within a step's accumulation"),
        pytest.param(killed("evaluation", 2, 3), id="inside an evaluation"),
        pytest.param(killed("step", 2, 2, 2, 2, 1), id="at each step boundary", marks=SLOW),
        pytest.param(killed("weights", 1, 3, 4), id="weights half written", marks=SLOW),
        pytest.param(killed("torch.save", 7, 7, 7), id="optimizer or state torn", marks=SLOW),
        pytest.param(killed("rename", 3, 4, 1), id="before a rename", marks=SLOW),
        pytest.param(killed("replace", 2, 4, 3, 9), id="final model half in place", marks=SLOW),
        pytest.param(killed("rmdir", 3, 3), id="rotation half done", marks=SLOW),
    ],
)
def test_killed_in_the_midst_of(
    moments: Sequence[Moment], flags: dict[str, str], undisturbed: Outcome, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for moment in moments:
        assert not run_once({**flags, "output": str(run)}, moment), f"never came to {moment}"
    assert run_once({**flags, "output": str(run)})
    assert outcome(run) == undisturbed
    assert not (run / ".partial").exists()


@pytest.mark.slow
def test_killed_at_30_random_moments(
    flags: dict[str, str], undisturbed: Outcome, tmp_path: Path
) -> None:
    """By what the run does, most of which is saving, and by the clock."""
    chance = random.Random(20261124)
    kills = runs = 0
    while kills < 30:
        run = tmp_path / f"run{runs}"
        runs += 1
        done = False
        while not done:
            by_clock = kills % 5 == 4
            done = run_once(
                {**flags, "output": str(run)},
                None if by_clock else Moment(chance.randint(1, 150)),
                seconds=chance.uniform(0.1, 1.5) if by_clock else None,
            )
            kills += not done
        assert outcome(run) == undisturbed, f"run {runs}, {kills} kills so far"


@pytest.fixture(scope="module")
def points(flags: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a whole run does, in its order; a fault at one of these is at the same place again."""
    run = tmp_path_factory.mktemp("points") / "run"
    assert run_once({**flags, "output": str(run)})
    seen: list[str] = json.loads((run / "seen.json").read_text())
    return seen


def resumed_after(
    moment: Moment, flags: dict[str, str], undisturbed: Outcome, run: Path
) -> str | None:
    """Let a run be killed or fail, and resume it; return what is wrong then."""
    try:
        run_once({**flags, "output": str(run)}, moment)
        done = run_once({**flags, "output": str(run)})
    except AssertionError as error:
        return f"{moment}: {error}"
    if not done or outcome(run) != undisturbed:
        return f"{moment}: other weights or metrics"
    return f"{moment}: something is left" if (run / ".partial").exists() else None


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("kind", ["replace", "rename", "fsync"])
def test_a_disk_that_fails_in_a_save(
    kind: str, error: int, flags: dict[str, str], undisturbed: Outcome, tmp_path: Path
) -> None:
    moment = Moment(3, kind, error)
    assert resumed_after(moment, flags, undisturbed, tmp_path / "run") is None


@pytest.mark.long
@pytest.mark.parametrize("fault", [None, errno.EIO, errno.ENOSPC], ids=["kill", "EIO", "ENOSPC"])
def test_a_fault_at_any_point_of_a_save_costs_nothing(
    fault: int | None,
    flags: dict[str, str],
    undisturbed: Outcome,
    points: list[str],
    tmp_path: Path,
) -> None:
    """From the last step but one: a save with rotation, an evaluation, a save, the final model."""
    steps = [number for number, kind in enumerate(points, 1) if kind == "step"]
    wrong = []
    for number in range(steps[-2], len(points) + 1):
        run = tmp_path / str(number)
        found = resumed_after(Moment(number, error=fault), flags, undisturbed, run)
        shutil.rmtree(run, ignore_errors=True)
        wrong += [found] if found else []
    count = len(points) + 1 - steps[-2]
    print(f"\n{count} points, {len(wrong)} wrong")  # noqa: T201
    assert not wrong, "\n".join(wrong)
    assert count > 100
