"""Tell what a sweep takes before its first trial: steps, memory, time, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from clairkit.planning import MadePlan, Request, make_plan
from clairkit.records.json_types import JsonObject
from clairkit.sweep.board import whole_trials
from clairkit.sweep.sources import SourceFacts, prepare_sources
from clairkit.sweep.spec import SweepSpec


@dataclass(frozen=True)
class SourceForecast:
    """What a trial of one source takes.

    Attributes:
        facts: of the source, as it would be cut.
        steps: of a whole trial.
        fits: whether it fits into memory; None where that is not known.
        seconds: of a whole trial, from and to; None where the rate is not known.
    """

    facts: SourceFacts
    steps: int
    fits: bool | None
    seconds: tuple[float, float] | None


@dataclass(frozen=True)
class SweepForecast:
    """What a sweep takes.

    Attributes:
        trials: begun in all.
        steps: of all of them, halving's savings taken off.
        sources: by name.
        seconds: of all training, from and to, on all devices; None where no rate is known.
        cost: of the devices for that time, in US$.
    """

    trials: int
    steps: float
    sources: Mapping[str, SourceForecast]
    seconds: tuple[float, float] | None
    cost: tuple[float, float] | None

    @property
    def note(self) -> str:
        """Return in a sentence what it takes."""
        text = f"Training steps in all: {self.steps:,.0f}."
        if self.seconds is None:
            return f"{text} Time: told after the first trial (clairkit plan --probe measures)."
        low, high = (f"{each / 3600:.1f}" for each in self.seconds)
        text += f" Training takes {low} to {high} h, beside measuring."
        if self.cost is not None:
            text += f" Cost: {self.cost[0]:.2f} to {self.cost[1]:.2f} US$."
        return text

    def to_json(self) -> JsonObject:
        """Return it as `--json` prints it."""
        return {**asdict(self), "note": self.note}


def forecast(
    spec: SweepSpec, folder: Path, lanes: int, say: Callable[[str], None]
) -> SweepForecast:
    """Return what a sweep takes; nothing is written.

    A trial is planned for each source, since all settings of one take about the same.

    Args:
        spec: of the sweep.
        folder: of the sweep.
        lanes: trials side by side.
        say: gets remarks of the plan.

    Raises:
        UsageError: a configuration that can't be planned.
        DataError: a source that can't be read.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = prepare_sources(spec, folder, write=False)
    share = whole_trials(spec) / len(facts)
    found = {}
    for name, each in facts.items():
        setting = next(one for one in spec.settings if one.pairs == name)
        values = {**spec.base, **setting.values, "pairs": each.source}
        made = make_plan(Request(values, device=device), say)
        part = each.pairs / each.of_pairs
        found[name] = SourceForecast(
            each, round(made.plan.work.steps * part), made.fits, _seconds(made, part)
        )
    times = [each.seconds for each in found.values()]
    seconds = None
    if all(times):
        low, high = (sum(each[at] for each in times if each) * share / lanes for at in (0, 1))
        seconds = low, high
    price = spec.budget.price_per_hour / 3600 * lanes
    return SweepForecast(
        trials=len(spec.settings) * len(spec.seeds),
        steps=sum(each.steps for each in found.values()) * share,
        sources=found,
        seconds=seconds,
        cost=(seconds[0] * price, seconds[1] * price) if seconds and price else None,
    )


def _seconds(made: MadePlan, part: float) -> tuple[float, float] | None:
    seconds = made.plan.seconds
    return None if seconds is None else (seconds.low * part, seconds.high * part)
