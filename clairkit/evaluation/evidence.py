"""Add to an evaluation what stands beside checks and judges: votes, KPIs, seeds and guards."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clairkit.engine.program import Call
from clairkit.errors import DataError
from clairkit.evaluation.comparison import Comparison, RowResult, answer_text
from clairkit.evaluation.evaluate import Evaluation, Scorer, counted
from clairkit.evaluation.guards import (
    GuardRow,
    GuardSpec,
    check_change,
    guard_rows,
    judge_change,
)
from clairkit.evaluation.kpi import AnswerPair, KpiResult, measure_kpis
from clairkit.evaluation.kpi_file import KpiFile
from clairkit.evaluation.people import Meeting, PersonVote, people_signals, placed_votes
from clairkit.evaluation.seed_runs import same_configuration, seeds_signal
from clairkit.evaluation.signals import Signal
from clairkit.journal.results import Recorded
from clairkit.labels.items import Item
from clairkit.models.requests import Model
from clairkit.records import PromptRow
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.leakage import prompt_digest
from clairkit.statistics.change import Change
from clairkit.statistics.estimates import Resampling
from clairkit.statistics.win_rate import Verdict, labels_of, prompt_scores

Clusters = Mapping[str, Hashable] | None


@dataclass(frozen=True)
class GuardRun:
    """A guard with a check or a judge, and what is asked for it.

    Attributes:
        spec: of the guard.
        comparison: the models of the evaluation, and the guard's judge.
        prompts: its own, or copies of those of the evaluation.
        clusters: what each prompt belongs to; None when prompts are independent.
        scorer: of its check; None with a judge.
    """

    spec: GuardSpec
    comparison: Comparison
    prompts: tuple[PromptRow, ...]
    clusters: Clusters
    scorer: Scorer | None = None


@dataclass(frozen=True)
class Evidence:
    """What an evaluation rests on beside its check and its judges.

    Attributes:
        votes: of people, as `label import` wrote them.
        kpis: what the KPI file says.
        guards: that rest on a check or a judge; those on KPIs stand in the KPI file.
    """

    votes: tuple[PersonVote, ...] = ()
    kpis: KpiFile | None = None
    guards: tuple[GuardRun, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.votes or self.kpis or self.guards)


class Everything:
    """All that an evaluation asks, its guards too, as one method for the forecast.

    Args:
        comparison: of the evaluation.
        prompts: of the evaluation.
        guards: with prompts that are other objects than these.
    """

    name = "evaluate"

    def __init__(
        self,
        comparison: Comparison,
        prompts: Sequence[PromptRow],
        guards: Sequence[GuardRun],
    ) -> None:
        parts = [(comparison, prompts), *((each.comparison, each.prompts) for each in guards)]
        self.models: Mapping[str, Model] = {
            role: model for part, _ in reversed(parts) for role, model in part.models.items()
        }
        self.rows = [row for _, rows in parts for row in rows]
        self._parts = {id(row): part for part, rows in parts for row in rows}

    def settings(self) -> JsonMapping:
        """Return nothing: a forecast settles nothing."""
        return {}

    def program(self, row: PromptRow) -> Generator[Sequence[Call], Sequence[Recorded], Any]:
        """Return the program of a row of the evaluation or of a guard."""
        return self._parts[id(row)].program(row)


@dataclass(frozen=True)
class Findings:
    """What an evaluation knows before votes, KPIs and guards are looked at.

    Attributes:
        comparison: who answered, and who judged.
        results: of all prompts.
        checked: by the models' names; empty without a check.
        clusters: what each prompt belongs to; None when prompts are independent.
        resampling: level, draws and seed.
    """

    comparison: Comparison
    results: Sequence[RowResult]
    checked: Mapping[str, Evaluation]
    clusters: Clusters
    resampling: Resampling

    def meeting(self, model: str, against: str) -> Meeting:
        """Return both models' answers with the judges' score of each prompt."""
        specs = self.comparison.specs
        items = [
            Item(
                result.row.id,
                result.row.prompt,
                answer_text(result.answers[model]) or "",
                answer_text(result.answers[against]) or "",
                (model, against),
            )
            for result in self.results
        ]
        scores = judge_scores(self.results, model, against)
        return Meeting(model, against, items, (specs[model], specs[against]), scores, self.clusters)

    def pairs(self, model: str, against: str) -> list[AnswerPair]:
        """Return both models' answers, for programs that measure them."""
        return [
            AnswerPair(
                result.row,
                answer_text(result.answers[against]),
                answer_text(result.answers[model]),
                result.row.id if self.clusters is None else self.clusters[result.row.id],
            )
            for result in self.results
        ]


def judge_scores(
    results: Sequence[RowResult], model: str, against: str, *, unparsed_as: float | None = None
) -> dict[str, float]:
    """Return the score of each prompt over judges and orders.

    Args:
        results: of the prompts.
        model: the candidate.
        against: the baseline.
        unparsed_as: the score of a verdict that could not be read; None leaves it out.
    """
    verdicts = [
        Verdict(result.row.id, each.judge, each.first == each.model, each.score)
        for result in results
        for each in result.verdicts
        if (each.model, each.against) == (model, against)
    ]
    scores = prompt_scores(verdicts, unparsed_as=unparsed_as)
    return {str(prompt): score for prompt, score in scores.items()}


def further_signals(
    evidence: Evidence, found: Findings
) -> tuple[list[Signal], dict[str, KpiResult]]:
    """Return the signals of votes, KPIs and seeds; and by candidate what the KPIs show.

    Raises:
        DataError: no vote is on any two of the models, or a KPI can't be read.
    """
    base, others = found.comparison.baseline, found.comparison.candidates
    if base is None:
        return [], {}
    signals: list[Signal] = []
    for model in others if evidence.votes else ():
        signals += people_signals(evidence.votes, found.meeting(model, base), found.resampling)
    if evidence.votes and not signals:
        raise DataError(
            "no vote is on the answers of these models",
            received=", ".join(sorted({name for vote in evidence.votes for name in vote.names})),
            remedy="give the votes on answers of this evaluation",
        )
    kpis = {}
    if evidence.kpis is not None:
        for model in others:
            pairs = found.pairs(model, base)
            kpis[model] = measure_kpis(evidence.kpis, model, base, pairs, found.resampling)
            signals += kpis[model].signals
    signals += _seeds(found, base)
    return signals, kpis


def tested_guards(
    evidence: Evidence,
    found: Findings,
    kpis: Mapping[str, KpiResult],
    guarded: Sequence[Sequence[RowResult]],
) -> list[GuardRow]:
    """Test the guards of each candidate together.

    Args:
        evidence: with the guards.
        found: of the evaluation.
        kpis: by candidate, what the KPIs show.
        guarded: what became of each guard's prompts.

    Raises:
        UsageError: a guard's check fails.
    """
    base = found.comparison.baseline
    rows: list[GuardRow] = []
    if base is None:
        return rows
    for name in found.comparison.candidates:
        measured = [
            (each.spec, _change(each, results, name, base), "points")
            for each, results in zip(evidence.guards, guarded, strict=True)
        ]
        measured += kpis[name].guards if name in kpis else ()
        rows += guard_rows(name, measured, 1 - found.resampling.level)
    return rows


def vote_rows(evidence: Evidence, found: Findings) -> Iterator[JsonObject]:
    """Yield a row of `items.jsonl` for each vote on a candidate and the baseline."""
    base = found.comparison.baseline
    if base is None or not evidence.votes:
        return
    for name in found.comparison.candidates:
        for vote, verdict in placed_votes(evidence.votes, found.meeting(name, base)):
            yield {
                "kind": "vote",
                "id": vote.id,
                "rater": vote.rater,
                "model": name,
                "against": base,
                "first": name if verdict.candidate_first else base,
                "label": vote.label,
                "score": verdict.score,
                "at": vote.at or None,
            }


def _change(guard: GuardRun, results: Sequence[RowResult], model: str, base: str) -> Change:
    if guard.scorer is None:
        # What can't be read speaks against the candidate: a guard is no place for hope.
        scores = judge_scores(results, model, base, unparsed_as=0.0)
        labels = None if guard.clusters is None else labels_of(scores, guard.clusters)
        return judge_change(list(scores.values()), labels)
    before, after = (
        [row.score for row in counted(guard.scorer, results, name).rows] for name in (base, model)
    )
    ids = [result.row.id for result in results]
    return check_change(
        before, after, None if guard.clusters is None else labels_of(ids, guard.clusters)
    )


def _seeds(found: Findings, base: str) -> Iterator[Signal]:
    """Yield a signal for each group of candidates that differ in their seeds alone."""
    specs = found.comparison.specs
    for group in same_configuration({name: specs[name] for name in found.comparison.candidates}):
        changes: dict[str, dict[str, dict[str, float]]] = {}
        if found.checked:
            before = {row.prompt.id: float(row.right) for row in found.checked[base].rows}
            changes["check"] = {
                name: {
                    row.prompt.id: float(row.right) - before[row.prompt.id]
                    for row in found.checked[name].rows
                }
                for name in group
            }
        if found.comparison.judges:
            changes["judge"] = {
                name: {
                    prompt: score - 0.5
                    for prompt, score in judge_scores(found.results, name, base).items()
                }
                for name in group
            }
        for kind, by_run in changes.items():
            yield seeds_signal(
                by_run, base, kind, clusters=found.clusters, resampling=found.resampling
            )


def own_prompts(prompts: Sequence[PromptRow]) -> tuple[PromptRow, ...]:
    """Return prompts as objects of their own, sorted by id."""
    return tuple(sorted((replace(row) for row in prompts), key=lambda row: row.id))


def clusters_of(prompts: Sequence[PromptRow]) -> Clusters:
    """Return what each prompt belongs to: rows with one and the same prompt belong together."""
    found = {row.id: prompt_digest(row) for row in prompts}
    return None if len(set(found.values())) == len(prompts) else found
