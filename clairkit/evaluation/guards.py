"""Test what must not get worse: guards of a check, a judge or a KPI, with Holm's correction."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clairkit.evaluation.config_table import ConfigTable
from clairkit.records.json_types import JsonObject
from clairkit.statistics.change import Change, mean_change, paired_binary_change
from clairkit.statistics.guards import Guard, GuardResult, GuardStatus, check_guards
from clairkit.statistics.number_cells import DATE
from clairkit.statistics.utility import Kpi

_KINDS = ("check", "judge", "kpi")
_POINTS = 100


@dataclass(frozen=True)
class GuardSpec:
    """A guard, before it is measured.

    Attributes:
        name: of the guard.
        kind: `check`, `judge` or `kpi`.
        by: the check's or the judge's spec, or the KPI's name.
        margin: the loss that is borne: a share (0.04 for the 4 percentage points of the file), or
            in the KPI's unit.
        prompts: the file of its own prompts; None takes those of the evaluation.
    """

    name: str
    kind: str
    by: str
    margin: float
    prompts: str | None = None


@dataclass(frozen=True)
class GuardRow:
    """What the data say of one guard.

    Attributes:
        model: the candidate.
        unit: of estimate, bound and margin.
        result: of the test.
    """

    model: str
    unit: str
    result: GuardResult

    @property
    def passes(self) -> bool:
        """Whether it is shown that nothing got worse by more than the margin."""
        return self.result.status is GuardStatus.HOLDS

    @property
    def reason(self) -> str:
        """Say in a sentence why the guard holds, is violated, or is open."""
        guard, lower = self.result.guard, self.result.lower
        change = f"{guard.name} changed by {self._shown(guard.change.estimate, sign=True)}"
        margin = self._shown(guard.margin)
        bound = "unknown" if math.isinf(lower) else self._shown(lower, sign=True)
        found = f"{change}, lower bound {bound}, margin {margin}"
        if self.result.status is GuardStatus.VIOLATED:
            return f"{found}: worse than the margin allows"
        if self.passes:
            return f"{found}: not worse than the margin allows"
        if guard.change.is_too_few:
            return f"{found}: too few to say"
        return f"{found}: a loss beyond the margin is not excluded"

    def to_json(self) -> JsonObject:
        """Return the row as `eval.json` holds it."""
        result, guard = self.result, self.result.guard
        return {
            **self.figures(),
            "status": result.status.value,
            "passes": self.passes,
            "level": result.level,
            "p_value": result.p_value,
            "n": guard.change.n,
            "clusters": guard.change.clusters,
            "reason": self.reason,
        }

    def figures(self) -> JsonObject:
        """Return what was measured, and what is borne."""
        result, guard = self.result, self.result.guard
        return {
            "name": guard.name,
            "model": self.model,
            "estimate": guard.change.estimate,
            "lower": result.lower if math.isfinite(result.lower) else None,
            "margin": guard.margin,
            "unit": self.unit,
        }

    def _shown(self, value: float, *, sign: bool = False) -> str:
        plus = "+" if sign else ""
        if self.unit == "points":
            return f"{_POINTS * value:{plus}.1f} points"
        return f"{value:{plus}.4g} {self.unit}"


def read_guards(
    table: ConfigTable, kpi_units: Mapping[str, str], folder: Path
) -> tuple[GuardSpec, ...]:
    """Return the guards under the key `guards`: `[{name, prompts, check or judge or kpi, margin}]`.

    Args:
        table: of `kpi.yaml` or the configuration of an evaluation.
        kpi_units: unit of each KPI that a guard may name.
        folder: that files named there lie in.

    Raises:
        DataError: a key is unknown, missing or wrong, or two guards have one name.
    """
    found = tuple(_guard(each, kpi_units, folder) for each in table.tables("guards"))
    names = [guard.name for guard in found]
    if len(set(names)) < len(names):
        problem = "each guard needs a name of its own"
        raise table.error(problem, "guards", received=", ".join(names))
    return found


def difference_unit(unit: str) -> str:
    """Return the unit of a difference between values of a unit: dates differ by days."""
    return "days" if unit == DATE else unit


def _guard(table: ConfigTable, kpi_units: Mapping[str, str], folder: Path) -> GuardSpec:
    kinds = [kind for kind in _KINDS if table.get(kind) is not None]
    if len(kinds) != 1:
        raise table.error(
            "a guard rests on one of check, judge and kpi",
            received=", ".join(kinds) or "none",
            remedy='write for instance check: "python:yours:math"',
        )
    (kind,) = kinds
    by = table.text(kind)
    prompts = table.get("prompts")
    if kind == "kpi":
        by = table.choice("kpi", tuple(kpi_units))
        if prompts is not None:
            raise table.error("a KPI has no prompts of its own", "prompts", received=prompts)
    unit = difference_unit(kpi_units[by]) if kind == "kpi" else "%"
    margin = table.number("margin", unit=unit)
    if kind != "kpi":
        if margin >= _POINTS:
            raise table.error("a margin is below 100 percentage points", "margin", received=margin)
        margin /= _POINTS
    file = None if prompts is None else table.text("prompts")
    spec = GuardSpec(
        name=table.text("name", by if file is None else f"{Path(file).stem} {kind}"),
        kind=kind,
        by=by,
        margin=margin,
        prompts=None if file is None else os.fspath(folder / file),
    )
    table.refuse_others()
    return spec


def guard_rows(
    model: str, measured: Sequence[tuple[GuardSpec, Change, str]], alpha: float = 0.05
) -> list[GuardRow]:
    """Test all guards of a candidate together; no gain elsewhere buys one off.

    Args:
        model: the candidate.
        measured: each guard with its change (above 0 is better) and the change's unit.
        alpha: chance that any guard passes which should not, by Holm's step-down.
    """
    guards = [Guard(spec.name, change, spec.margin) for spec, change, _ in measured]
    results = check_guards(guards, alpha)
    return [
        GuardRow(model, unit, result)
        for (_, _, unit), result in zip(measured, results, strict=True)
    ]


def check_change(
    before: Sequence[float], after: Sequence[float], labels: Sequence[Hashable] | None = None
) -> Change:
    """Return the change of a check's mean score on the same prompts.

    Right and wrong alone give Newcombe's paired bounds; scores between them the clustered sandwich
    with Student's t.

    Args:
        before: [n] the baseline's scores in [0, 1].
        after: [n] the candidate's, of the same prompts.
        labels: [n] cluster of each prompt; None when prompts are independent.

    Raises:
        UsageError: the lengths differ, or there is no prompt.
    """
    if all(score in (0.0, 1.0) for score in (*before, *after)):
        return paired_binary_change(
            [score == 1.0 for score in before], [score == 1.0 for score in after], labels
        )
    return _paired(before, after, labels)


def judge_change(scores: Sequence[float], labels: Sequence[Hashable] | None = None) -> Change:
    """Return the candidate's win share minus 1/2.

    Where all prompts have the same score, such as all ties, the spread is taken with one win and
    one loss more (Agresti and Coull 1998): n equal scores are strong evidence, not none.

    Args:
        scores: [n] of each prompt in [0, 1], over orders and judges.
        labels: [n] cluster of each prompt; None when prompts are independent.

    Raises:
        UsageError: there is no prompt, or not one label a prompt.
    """
    found = _paired([0.5] * len(scores), scores, labels)
    if not found.is_too_few or found.dof <= 0:
        return found
    groups = [*(range(len(scores)) if labels is None else labels), ("win",), ("loss",)]
    more = _paired([0.5] * len(groups), [*scores, 1.0, 0.0], groups)
    return replace(more, n=found.n, clusters=found.clusters)


def kpi_guard_change(kpi: Kpi) -> Change:
    """Return the change of a KPI in its unit, above 0 where it got better."""
    sign = 1.0 if kpi.higher_is_better else -1.0
    values = sign * np.asarray(kpi.values, dtype=np.float64)
    return mean_change(values, kpi.is_candidate, kpi.clusters)


def _paired(
    before: Sequence[float], after: Sequence[float], labels: Sequence[Hashable] | None
) -> Change:
    """Return the change of means by prompt; its n counts prompts."""
    groups = list(range(len(after))) if labels is None else list(labels)
    arm = [False] * len(before) + [True] * len(after)
    found = mean_change([*before, *after], arm, [*groups, *groups])
    return replace(found, n=len(after))
