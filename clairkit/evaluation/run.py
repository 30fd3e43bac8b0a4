"""Run an evaluation: ask, check and judge, then signals, guards and one verdict."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from clairkit.engine.progress import ProgressHook
from clairkit.errors import DataError
from clairkit.evaluation.check_signals import check_signals
from clairkit.evaluation.comparison import Answered, Comparison, RowResult, ask_all
from clairkit.evaluation.evaluate import Evaluation, Scorer, counted
from clairkit.evaluation.evidence import (
    Everything,
    Evidence,
    Findings,
    clusters_of,
    further_signals,
    tested_guards,
    vote_rows,
)
from clairkit.evaluation.families import relatives, reviser_of, warning
from clairkit.evaluation.folder import SCHEMA, cost_of, item_rows, write_folder
from clairkit.evaluation.guards import GuardRow
from clairkit.evaluation.judge_signals import judge_signals
from clairkit.evaluation.signals import Signal
from clairkit.evaluation.verdict import Decision, Reason, best, decide, unread
from clairkit.generation.cost.dry_run import DryRun
from clairkit.generation.cost.estimate import estimate
from clairkit.generation.engine import make_budget
from clairkit.generation.settings import BuildSettings
from clairkit.journal.manifest import check_sealed, manifest_path
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, journal_path
from clairkit.models.sampling import Failure
from clairkit.records import PromptRow, digest
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.leakage import prompt_digest, read_trained_prompts
from clairkit.statistics.estimates import Note, Resampling

_SETTINGS = {"command": "evaluate"}


@dataclass(frozen=True)
class Plan:
    """What is evaluated, on what, and how figures are made.

    Attributes:
        comparison: who answers, and who judges.
        prompts: sorted by id.
        source: the prompt file, as the user named it.
        scorer: checks answers; None without a check.
        check: the check's spec.
        rubric: the judges', by name.
        cluster: the column that says which prompts belong together.
        resampling: level, draws and seed of intervals.
        prices: of the models.
        max_calls: the most calls, those of earlier runs of this output included.
        max_cost: the most US$, likewise.
        skip_refused: leave out, of all models, what one's chat template refuses.
        skipped: rows of the prompt file that were left out, by reason.
        evidence: votes, KPIs and guards.
    """

    comparison: Comparison
    prompts: tuple[PromptRow, ...]
    source: str
    scorer: Scorer | None = None
    check: str | None = None
    rubric: str | None = None
    cluster: str | None = None
    resampling: Resampling = field(default_factory=Resampling)
    prices: Prices = field(default_factory=Prices)
    max_calls: int | None = None
    max_cost: float | None = None
    skip_refused: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        if not self.prompts:
            raise DataError("there is no prompt to evaluate on")
        for row in self.prompts if self.cluster is not None else ():
            if not isinstance(row.extra.get(self.cluster or ""), str | int | float):
                raise DataError(
                    f"row {row.id} has no cluster in the column {self.cluster}",
                    path=self.source,
                    received=row.extra.get(self.cluster or ""),
                    remedy="name a column that each row has, with --cluster",
                )

    @property
    def baseline(self) -> str | None:
        """Return the baseline's name."""
        return self.comparison.baseline

    @property
    def candidates(self) -> Sequence[str]:
        """Return the names of all but the baseline."""
        return self.comparison.candidates

    @cached_property
    def clusters(self) -> Mapping[str, Hashable] | None:
        """Return what each prompt belongs to, by its id; None when each stands alone.

        Without a column, rows with one and the same prompt belong together.
        """
        if self.cluster is not None:
            return {row.id: row.extra[self.cluster] for row in self.prompts}
        return clusters_of(self.prompts)

    @cached_property
    def relatives(self) -> dict[str, list[str]]:
        """Return by each judge's name the models that are of its family."""
        found = {
            each.name: relatives(each.judge.model.name, self.comparison.specs)
            for each in self.comparison.judges
        }
        return {name: names for name, names in found.items() if names}

    @cached_property
    def warnings(self) -> dict[str, list[str]]:
        """Return what is to be said of each judge, by name."""
        found = {name: [warning(name, names)] for name, names in self.relatives.items()}
        revisers = {name: reviser_of(spec) for name, spec in self.comparison.specs.items()}
        named = {f"{spec}, reviser of {name}": spec for name, spec in revisers.items() if spec}
        for each in self.comparison.judges:
            if names := relatives(each.judge.model.name, named):
                found.setdefault(each.name, []).append(warning(each.name, names))
        return found

    @cached_property
    def trained_on(self) -> dict[str, int | None]:
        """Return how many of the prompts each model was trained on; None when nothing says so."""
        return {name: self._trained(spec) for name, spec in self.comparison.specs.items()}

    def _trained(self, spec: str) -> int | None:
        if not spec.startswith("hf:"):
            return None
        known = read_trained_prompts(Path(spec.removeprefix("hf:")))
        return None if known is None else sum(prompt_digest(row) in known for row in self.prompts)


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        plan: what was evaluated.
        results: of the prompts that count.
        checked: by the models' names; empty without a check.
        signals: the rows of the table.
        guards: after their test.
        decisions: by candidate; empty without a baseline.
        skipped: rows that were left out, by reason.
        cost: what all replies took.
        guarded: what became of each guard's prompts.
    """

    plan: Plan
    results: tuple[RowResult, ...]
    checked: Mapping[str, Evaluation]
    signals: tuple[Signal, ...]
    guards: tuple[GuardRow, ...]
    decisions: Mapping[str, Decision]
    skipped: Mapping[str, int]
    cost: JsonMapping
    guarded: tuple[tuple[RowResult, ...], ...] = ()

    @property
    def decision(self) -> Decision | None:
        """Return the decision that stands for all candidates."""
        return best(list(self.decisions.values())) if self.decisions else None

    @property
    def unread(self) -> Reason | None:
        """Return what is to be said of a judge whose verdicts could too often not be read."""
        return next(unread(self.signals), None)

    @property
    def notes(self) -> list[str]:
        """Return what is to be said of the evaluation as a whole."""
        comparison = self.plan.comparison
        is_judged = comparison.judges and len(comparison.contestants) == 2
        return [f"{Note.TWO_MODELS[:1].upper()}{Note.TWO_MODELS[1:]}."] if is_judged else []

    def to_json(self) -> JsonObject:
        """Return what `eval.json` holds."""
        plan, decision = self.plan, self.decision
        said = {"verdict": None, "reason": None, "needed": None}
        overall = said if decision is None else decision.to_json()
        return {
            "schema": SCHEMA,
            "prompts": {
                "source": plan.source,
                "n": len(self.results),
                "skipped": dict(self.skipped),
            },
            "models": list(self._models()),
            "check": plan.check,
            "judges": list(self._judges()),
            "cluster": plan.cluster,
            "sampling": dict(plan.comparison.sampling.to_json()),
            "signals": [each.to_json() for each in self.signals],
            "guards": [each.to_json() for each in self.guards],
            "verdict": overall["verdict"],
            "reason": overall["reason"],
            "verdicts": {name: each.to_json() for name, each in self.decisions.items()},
            "needed": overall["needed"],
            "notes": self.notes,
            "level": plan.resampling.level,
            "seed": plan.resampling.seed,
            "cost": dict(self.cost),
        }

    def _models(self) -> Iterator[JsonObject]:
        contestants = self.plan.comparison.contestants
        for each in sorted(contestants, key=lambda each: each.is_baseline):
            outcomes = [result.answers[each.name] for result in self.results]
            reasons = [
                outcome.reason if isinstance(outcome, Failure) else "answer_truncated"
                for outcome in outcomes
                if isinstance(outcome, Failure) or outcome.is_only_thoughts
            ]
            yield {
                "name": each.name,
                "spec": each.spec,
                "role": "baseline" if each.is_baseline else "candidate",
                "identity": digest(each.model.identity)[:16],
                "trained_on": self.plan.trained_on[each.name],
                "answered": len(outcomes) - len(reasons),
                "cut": sum(
                    getattr(outcome, "finish_reason", None) == "length" for outcome in outcomes
                ),
                "failures": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
            }

    def _judges(self) -> Iterator[JsonObject]:
        for each in self.plan.comparison.judges:
            yield {
                "name": each.name,
                "rubric": self.plan.rubric,
                "language": each.judge.language,
                "warnings": self.plan.warnings.get(each.name, []),
            }


def forecast(plan: Plan, output: Path | None) -> DryRun:
    """Return what a run still takes; nothing is asked and nothing written."""
    whole = Everything(plan.comparison, plan.prompts, plan.evidence.guards)
    if output is None or not journal_path(output).exists():
        return DryRun(estimate(whole.rows, whole, plan.prices), 0.0)
    with closing(Journal(output)) as journal:
        made = estimate(whole.rows, whole, plan.prices, journal)
        return DryRun(made, plan.prices.cost_of(journal.usage_by_model()))


@contextmanager
def journal_of(output: Path | None) -> Iterator[Journal]:
    """Open the journal of an output, or one that ends with the block.

    Raises:
        UsageError: the journal belongs to another command, or another process holds it.
        DataError: what was sealed is not what it was.
    """
    with (
        TemporaryDirectory(prefix="clairkit-") as folder,
        closing(Journal(output or Path(folder) / "answers")) as journal,
    ):
        journal.settle(_SETTINGS, force=False)
        if output is not None and manifest_path(output).exists():
            check_sealed(output)
        yield journal


def ask(
    plan: Plan,
    journal: Journal,
    *,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
) -> Answered:
    """Make all calls that the journal has no result of.

    Raises:
        UsageError: a model has no price and there is a cap on the cost; or the check fails.
    """
    if plan.max_cost is not None:
        whole = Everything(plan.comparison, plan.prompts, plan.evidence.guards)
        plan.prices.require(model.name for model in whole.models.values())
    caps = BuildSettings(max_calls=plan.max_calls, max_cost=plan.max_cost)
    control = make_budget(caps, plan.prices, journal)
    trial = None if plan.scorer is None else plan.scorer.score
    return ask_all(
        plan.comparison,
        plan.prompts,
        journal,
        control,
        more=[(each.comparison, each.prompts) for each in plan.evidence.guards],
        trial=trial,
        progress=progress,
        say=say,
    )


def conclude(plan: Plan, answered: Answered, journal: Journal) -> Evaluated:
    """Return all signals, guards and the verdict of prompts that are done.

    Raises:
        DataError: no prompt is left.
        UsageError: the check fails.
    """
    kept, skipped = _without_refused(plan, answered.results)
    checked = {}
    if plan.scorer is not None:
        level = plan.resampling.level
        names = [*plan.candidates, *([plan.baseline] if plan.baseline else [])]
        for result in kept:  # the baseline's answers first
            plan.scorer.score(result)
        checked = {name: counted(plan.scorer, kept, name, level) for name in names}
    signals = _signals(plan, kept, checked)
    findings = Findings(plan.comparison, kept, checked, plan.clusters, plan.resampling)
    further, kpis = further_signals(plan.evidence, findings)
    signals += further
    guards = tuple(tested_guards(plan.evidence, findings, kpis, answered.more))
    decisions = decide(plan.candidates, signals, guards) if plan.baseline else {}
    cost = cost_of(journal, plan.prices)
    return Evaluated(
        plan, kept, checked, tuple(signals), guards, decisions, skipped, cost, answered.more
    )


def write(found: Evaluated, folder: Path) -> None:
    """Write the folder of an evaluation whose journal lies there."""
    plan = found.plan
    items = item_rows(found.results, plan.comparison, plan.scorer, plan.clusters, plan.prices)
    guarded = (
        {**row, "kind": f"guard_{row['kind']}", "guard": guard.spec.name}
        for guard, results in zip(plan.evidence.guards, found.guarded, strict=True)
        for row in item_rows(results, guard.comparison, guard.scorer, guard.clusters, plan.prices)
    )
    findings = Findings(
        plan.comparison, found.results, found.checked, plan.clusters, plan.resampling
    )
    facts = {"verdict": found.decision.verdict if found.decision else None, **found.cost}
    rows = chain(items, vote_rows(plan.evidence, findings), guarded)
    write_folder(folder, found.to_json(), rows, facts)


def _signals(
    plan: Plan, results: Sequence[RowResult], checked: Mapping[str, Evaluation]
) -> list[Signal]:
    """Return the rows of the table; each kind of evidence adds its own."""
    clusters = plan.clusters
    labels = None if clusters is None else [clusters[result.row.id] for result in results]
    signals: list[Signal] = []
    if checked:
        signals += check_signals(checked, plan.baseline, labels, plan.resampling)
    if plan.comparison.judges:
        signals += judge_signals(
            results, plan.comparison, clusters, plan.resampling, plan.relatives
        )
    return signals


def _without_refused(
    plan: Plan, results: Sequence[RowResult]
) -> tuple[tuple[RowResult, ...], dict[str, int]]:
    refused = [
        result
        for result in results
        if any(
            isinstance(outcome, Failure) and outcome.reason == "template_refused"
            for outcome in result.answers.values()
        )
    ]
    if not refused or not plan.skip_refused:
        return tuple(results), dict(plan.skipped)
    kept = tuple(result for result in results if result not in refused)
    if not kept:
        raise DataError(
            "no prompt is left to evaluate on",
            remedy="name prompts that the model's chat template takes",
        )
    return kept, {**plan.skipped, "template_refused": len(refused)}
