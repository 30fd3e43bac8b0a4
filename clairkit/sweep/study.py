"""Keep the trials of a sweep in an Optuna study: who runs which, and what came of each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clairkit.errors import ResourceError, UsageError
from clairkit.extras import install_command
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.sweep.spec import SweepSpec, Trial

_NAME, _OWNER, _FAILURE, _RUNG, _PRUNED = "name", "owner", "failure", "rung ", "stopped at"


@dataclass(frozen=True)
class Standing:
    """How far a trial is.

    Attributes:
        name: of the trial.
        number: in the study; -1 while it is not there.
        owner: of the folder where it runs; "" while it waits.
        rungs: what was measured, by share of all steps.
        failure: `kind`, `reason` and `seconds` of one that died; None otherwise.
        is_pruned: whether halving went on without it.
    """

    name: str
    number: int = -1
    owner: str = ""
    rungs: JsonMapping = field(default_factory=dict)
    failure: JsonMapping | None = None
    is_pruned: bool = False

    def has(self, share: float) -> bool:
        """Whether it needs no further work up to a share of all steps."""
        return self.failure is not None or self.is_pruned or f"{share:g}" in self.rungs

    @property
    def last(self) -> JsonMapping | None:
        """Return what was measured last."""
        return self.rungs[max(self.rungs, key=float)] if self.rungs else None


class Study:
    """The study of a sweep; several machines may work on one.

    Args:
        spec: of the sweep; another one is another study.
        url: of the storage.
        owner: of the folder where this machine's trials run.

    Raises:
        UsageError: Optuna is missing, or there is no such storage.
    """

    def __init__(self, spec: SweepSpec, url: str, owner: str) -> None:
        try:
            import optuna
        except ImportError:
            remedy = install_command("sweep")
            raise UsageError("a sweep needs Optuna", remedy=remedy) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._lock = threading.RLock()
        self._owner = owner
        self._states = optuna.trial.TrialState
        self._choices = _choices(spec)
        try:
            storage = optuna.storages.RDBStorage(url)
            self._study = optuna.create_study(
                study_name=f"clairkit-sweep-{spec.digest}",
                storage=storage,
                direction="maximize",
                sampler=optuna.samplers.RandomSampler(seed=0),
                load_if_exists=True,
            )
        except Exception as error:  # of SQLAlchemy, a driver or a server
            problem = f"the storage of the sweep can't be opened: {str(error).splitlines()[0]}"
            raise ResourceError(problem, received=url.split("@")[-1]) from error

    def plan(self, trials: Sequence[Trial]) -> None:
        """Put in line what isn't there yet."""
        with self._lock:
            known = self.standings()
            for trial in trials:
                if trial.name not in known:
                    self._enqueue(trial)

    def retry(self, trials: Sequence[Trial]) -> None:
        """Put the trials that died in line once more."""
        with self._lock:
            known = self.standings()
            for trial in trials:
                if known[trial.name].failure is not None:
                    self._enqueue(trial)

    def adopt(self) -> None:
        """Take over trials that a kill left without an owner between the claim and its name."""
        with self._lock:
            for each in self._study.get_trials(states=(self._states.RUNNING,)):
                if _NAME in each.user_attrs and _OWNER not in each.user_attrs:
                    self._open(each.user_attrs[_NAME]).set_user_attr(_OWNER, self._owner)

    def claim(self) -> str | None:
        """Return the name of the next trial in line, which is this machine's now; None: no more."""
        with self._lock:
            while self._study.get_trials(deepcopy=False, states=(self._states.WAITING,)):
                trial = self._study.ask(fixed_distributions=self._choices)
                if _NAME in trial.user_attrs:
                    trial.set_user_attr(_OWNER, self._owner)
                    return str(trial.user_attrs[_NAME])
                self._study.tell(trial, state=self._states.FAIL)  # another machine was faster
        return None

    def is_ours(self, standing: Standing) -> bool:
        """Whether a trial is run in this machine's folder."""
        return standing.owner == self._owner

    def record(self, name: str, share: float, found: JsonMapping, value: float) -> None:
        """Keep what was measured of a trial; at the share 1 it is complete.

        Args:
            name: of the trial.
            share: of all steps.
            found: what was measured.
            value: its mean change.
        """
        with self._lock:
            trial = self._open(name)
            trial.report(value, round(100 * share))
            trial.set_user_attr(f"{_RUNG}{share:g}", dict(found))
            if share == 1.0:
                self._study.tell(trial, value)

    def fail(self, name: str, failure: JsonMapping) -> None:
        """Keep what a trial died of."""
        with self._lock:
            trial = self._open(name)
            trial.set_user_attr(_FAILURE, dict(failure))
            self._study.tell(trial, state=self._states.FAIL)

    def prune(self, name: str, share: float) -> None:
        """End a trial that halving goes on without."""
        with self._lock:
            trial = self._open(name)
            trial.set_user_attr(_PRUNED, share)
            self._study.tell(trial, state=self._states.PRUNED)

    def standings(self) -> dict[str, Standing]:
        """Return all trials by name; of one that was tried again, the last."""
        with self._lock:
            found = {}
            for each in self._study.get_trials(deepcopy=False):
                if _NAME in each.user_attrs:
                    found[str(each.user_attrs[_NAME])] = _standing(each)
            return found

    def _open(self, name: str) -> Any:
        """Return a running trial as Optuna's handle."""
        number = self.standings()[name].number
        frozen = self._study.get_trials(deepcopy=False)[number]
        return self._optuna.trial.Trial(self._study, frozen._trial_id)

    def _enqueue(self, trial: Trial) -> None:
        values = {**trial.setting.to_json(), "seed": trial.seed}
        params = {key: _plain(value) for key, value in values.items()}
        self._study.enqueue_trial(params, user_attrs={_NAME: trial.name})


def _standing(trial: Any) -> Standing:
    attrs: JsonObject = trial.user_attrs
    rungs = {key.removeprefix(_RUNG): attrs[key] for key in attrs if key.startswith(_RUNG)}
    return Standing(
        name=attrs[_NAME],
        number=trial.number,
        owner=attrs.get(_OWNER, ""),
        rungs=rungs,
        failure=attrs.get(_FAILURE),
        is_pruned=_PRUNED in attrs,
    )


def _choices(spec: SweepSpec) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution

    factors: dict[str, Sequence[Any]] = {**spec.factors, "seed": spec.seeds}
    if spec.pairs:
        factors["pairs"] = tuple(spec.pairs)
    return {key: CategoricalDistribution(tuple(map(_plain, each))) for key, each in factors.items()}


def _plain(value: object) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
