"""Hand out the work of a sweep: which trial comes next, up to which rung, and when it is enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from clairkit.display import counted
from clairkit.records.json_types import JsonMapping
from clairkit.sweep.choice import survivors
from clairkit.sweep.spec import Setting, SweepSpec, Trial
from clairkit.sweep.study import Standing, Study

_SECONDS_BETWEEN_LOOKS = 2.0
"""How often other machines' results are looked for."""


@dataclass(frozen=True)
class Job:
    """A trial to be trained and measured up to a share of all its steps."""

    trial: Trial
    share: float


def mean_change(found: JsonMapping) -> float:
    """Return the mean change of what was measured of a trial."""
    return fmean(found["changes"].values())


def spent(standings: Mapping[str, Standing], price_per_hour: float) -> tuple[float, float]:
    """Return the hours and the US$ of all trials."""
    rungs = [found for each in standings.values() for found in each.rungs.values()]
    failed = [each.failure["seconds"] for each in standings.values() if each.failure]
    hours = (sum(found["seconds"] for found in rungs) + sum(failed)) / 3600
    return hours, sum(found["usd"] for found in rungs) + hours * price_per_hour


def alive(spec: SweepSpec, standings: Mapping[str, Standing], share: float) -> list[Setting] | None:
    """Return the settings that go on after a rung; None while one of its trials is not done."""
    settings: list[Setting] = list(spec.settings)
    for rung in spec.rungs[: spec.rungs.index(share) + 1]:
        means: list[float | None] = []
        for setting in settings:
            trials = [standings.get(Trial(setting, seed).name) for seed in spec.seeds]
            if not all(each is not None and each.has(rung) for each in trials):
                return None
            found = [
                each.rungs[f"{rung:g}"] for each in trials if each and f"{rung:g}" in each.rungs
            ]
            means.append(fmean(map(mean_change, found)) if found else None)
        if rung != spec.rungs[-1]:
            settings = [settings[at] for at in survivors(means)]
    return settings


class Board:
    """Says to each lane what to do next; lanes wait at a rung until all trials are there.

    Args:
        spec: of the sweep.
        study: keeps the trials.
        lanes: that ask, for the time left.
        say: gets a line at each result.
    """

    def __init__(
        self, spec: SweepSpec, study: Study, lanes: int, say: Callable[[str], None]
    ) -> None:
        self.over_budget = False
        self._spec = spec
        self._study = study
        self._lanes = lanes
        self._say = say
        self._trials = {trial.name: trial for trial in spec.trials}
        self._busy: set[str] = set()
        self._left: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()

    def close(self) -> None:
        """Hand out nothing more. A signal's handler may call it."""
        self._closed = True

    def next(self) -> Job | None:
        """Return the next job, waiting for it where others have to come to a rung; None: no more.

        A trial of this machine that is under way comes before one in line.
        """
        with self._changed:
            while not self._closed:
                standings = self._study.standings()
                share, settings = self._rung(standings)
                if share is None:
                    return None
                job = self._pick(standings, share, settings)
                if job is not None:
                    self._busy.add(job.trial.name)
                    return job
                if self.over_budget and not self._busy:
                    return None
                self._changed.wait(_SECONDS_BETWEEN_LOOKS)
        return None

    def done(self, job: Job, found: JsonMapping) -> None:
        """Keep what was measured of a job."""
        value = mean_change(found)
        self._study.record(job.trial.name, job.share, found, value)
        self._tell(job, f"{100 * value:+.1f} points")

    def failed(self, job: Job, failure: JsonMapping) -> None:
        """Keep what a job died of."""
        self._study.fail(job.trial.name, failure)
        self._tell(job, f"died while {failure['stage']}: {failure['kind']} ({failure['reason']})")

    def leave(self, job: Job) -> None:
        """Give a job back that a signal ended: it is gone on with later."""
        with self._changed:
            self._busy.discard(job.trial.name)
            self._left.add(job.trial.name)
            self._changed.notify_all()

    def _rung(self, standings: Mapping[str, Standing]) -> tuple[float | None, list[Setting]]:
        """Return the rung where work is, and its settings; None when all is done."""
        settings = list(self._spec.settings)
        for share in self._spec.rungs:
            after = alive(self._spec, standings, share)
            if after is None:
                return share, settings
            for setting in settings:
                if setting not in after:
                    self._prune(setting, standings, share)
            settings = after
        return None, settings

    def _prune(self, setting: Setting, standings: Mapping[str, Standing], share: float) -> None:
        for seed in self._spec.seeds:
            each = standings[Trial(setting, seed).name]
            if self._study.is_ours(each) and each.failure is None and not each.is_pruned:
                self._study.prune(each.name, share)

    def _pick(
        self, standings: Mapping[str, Standing], share: float, settings: list[Setting]
    ) -> Job | None:
        self.over_budget = self._is_over(standings)
        if self.over_budget:
            return None
        for setting in settings:
            for seed in self._spec.seeds:
                name = Trial(setting, seed).name
                each = standings.get(name, Standing(name))
                is_free = name not in self._busy | self._left
                if self._study.is_ours(each) and is_free and not each.has(share):
                    return Job(self._trials[name], share)
        if share == self._spec.rungs[0] and not self._is_full(standings):
            claimed = self._study.claim()
            return None if claimed is None else Job(self._trials[claimed], share)
        return None

    def _is_full(self, standings: Mapping[str, Standing]) -> bool:
        most = self._spec.budget.trials
        begun = sum(bool(each.owner) for each in standings.values())
        full = most is not None and begun >= most
        self.over_budget = self.over_budget or (full and begun < len(self._trials))
        return full

    def _is_over(self, standings: Mapping[str, Standing]) -> bool:
        budget = self._spec.budget
        hours, cost = spent(standings, budget.price_per_hour)
        over = budget.hours is not None and hours >= budget.hours
        return over or (budget.cost is not None and cost >= budget.cost)

    def _tell(self, job: Job, text: str) -> None:
        with self._changed:
            self._busy.discard(job.trial.name)
            standings = self._study.standings()
            done = sum(each.has(self._spec.rungs[-1]) for each in standings.values())
            share = "" if job.share == 1.0 else f" at {job.share:.0%} of its steps"
            left = self._seconds_left(standings)
            later = f"; about {_duration(left)} left" if left else ""
            total = counted(len(self._trials), "trial")
            self._say(f"{done}/{total}: {job.trial.name}{share} {text}{later}")
            self._changed.notify_all()

    def _seconds_left(self, standings: Mapping[str, Standing]) -> float:
        """Return about how long the rest takes, at the pace of the trials so far."""
        seconds = shares = 0.0
        for each in standings.values():
            seconds += sum(found["seconds"] for found in each.rungs.values())
            shares += max(map(float, each.rungs), default=0.0)
        whole = whole_trials(self._spec)
        gone = sum(1.0 for each in standings.values() if each.failure is not None)
        return seconds / shares * max(whole - shares - gone, 0.0) / self._lanes if shares else 0.0


def whole_trials(spec: SweepSpec) -> float:
    """Return how many whole trainings a sweep takes: halving's rungs counted by their share."""
    count, before, total = len(spec.settings), 0.0, 0.0
    for share in spec.rungs:
        total += count * (share - before)
        before, count = share, max(1, count // 2)
    return total * len(spec.seeds)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
