"""Make signals of people's votes: how often they prefer the candidate, and blended with a judge."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from clairkit.display import counted
from clairkit.errors import DataError
from clairkit.evaluation.signals import Signal, signal_of
from clairkit.intervals import wilson
from clairkit.labels.draw import METHOD, population_digest, shown_population
from clairkit.labels.items import Item
from clairkit.records.faults import RowFault
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.read import located_rows
from clairkit.statistics.e_process import evidence, first_votes
from clairkit.statistics.estimates import Resampling
from clairkit.statistics.prediction_powered import LabelledScores, blend
from clairkit.statistics.reliability import (
    Reliability,
    cohen_kappa,
    krippendorff_alpha,
)
from clairkit.statistics.win_rate import Verdict, labels_of, prompt_scores, win_rate

_SCORES = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}
_NEEDED = ("id", "a", "b", "label", "rater", "left")


@dataclass(frozen=True)
class PersonVote:
    """A row of the file that `label import` writes.

    Attributes:
        id: of the prompt.
        sides: the texts of A and B.
        names: of A and B.
        label: `a`, `b`, `tie` or `both_bad`.
        rater: who gave it.
        left: which of A and B stood on the left.
        at: when; "" where it was lost.
        flags: what speaks against the rater's votes.
        repeats: screens on which the rater said the same again, and all repeated screens.
        sample: how the items were drawn.
    """

    id: str
    sides: tuple[str, str]
    names: tuple[str, str]
    label: str
    rater: str
    left: str
    at: str
    flags: tuple[str, ...]
    repeats: tuple[int, int]
    sample: JsonMapping


@dataclass(frozen=True)
class Meeting:
    """Two models, and both their answers to each prompt.

    Attributes:
        model: the candidate.
        against: the baseline.
        items: a prompt each, A the candidate's answer and B the baseline's.
        specs: of both models.
        judge: the judge's score of each prompt, over orders; empty without a judge.
        clusters: what each prompt belongs to; None when prompts are independent.
    """

    model: str
    against: str
    items: Sequence[Item]
    specs: tuple[str, ...] = ()
    judge: Mapping[str, float] | None = None
    clusters: Mapping[str, Hashable] | None = None


def read_person_votes(path: str | os.PathLike[str]) -> list[PersonVote]:
    """Return the votes that `label import` wrote.

    Raises:
        DataError: the file can't be read, or a row is none of two answers with a label.
    """
    place = os.fspath(path)
    found = [_vote(row, place, line) for line, row in located_rows(place)]
    if not found:
        raise DataError("there is no vote", path=place)
    return found


def _vote(row: JsonObject | RowFault, path: str, line: int) -> PersonVote:
    if isinstance(row, RowFault):
        raise row.to_error(path, line)
    remedy = "give what `clairkit label import` wrote for the question `better`"
    lacking = [name for name in _NEEDED if not isinstance(row.get(name), str)]
    if lacking or row["label"] not in _SCORES:
        raise DataError(
            f"the row is no vote on two answers: `{lacking[0] if lacking else 'label'}` is missing "
            "or says something else",
            path=path,
            line=line,
            received=str(row.get("label")),
            remedy=remedy,
        )
    names = tuple(str(name) for name in row.get("names") or ("", ""))
    repeats = (row.get("rater_checks") or {}).get("repeats") or (0, 0)
    return PersonVote(
        id=row["id"],
        sides=(row["a"], row["b"]),
        names=(names[0], names[-1]),
        label=row["label"],
        rater=row["rater"],
        left=row["left"],
        at=str(row.get("at") or ""),
        flags=tuple(row.get("rater_flags") or ()),
        repeats=(int(repeats[0]), int(repeats[1])),
        sample=row.get("sample") or {},
    )


def people_signals(
    votes: Sequence[PersonVote], meeting: Meeting, resampling: Resampling | None = None
) -> list[Signal]:
    """Return people's win share for a candidate, and its blend with the judge where there is one.

    Args:
        votes: of any raters; those on other models are passed over.
        meeting: the two models, and what they answered.
        resampling: level, draws and seed.

    Returns:
        Nothing when no vote is on these two models.

    Raises:
        DataError: a vote on these two models is on other answers than theirs.
    """
    resampling = resampling or Resampling()
    placed = placed_votes(votes, meeting)
    if not placed:
        return []
    scores = prompt_scores(verdict for _, verdict in placed)
    signals = [_people(placed, scores, meeting, resampling)]
    if meeting.judge:
        signals.append(_blended(placed, scores, meeting, resampling.level))
    return signals


_Placed = tuple[PersonVote, Verdict]


def placed_votes(votes: Iterable[PersonVote], meeting: Meeting) -> list[_Placed]:
    """Return the votes on a meeting with what they say of the candidate.

    Texts tell which side is whose, so that no vote on a former answer counts for today's.
    """
    answers = {item.id: (item.a, item.b) for item in meeting.items}
    found = []
    for vote in votes:
        texts = answers.get(vote.id)
        is_a = vote.sides == texts
        if texts is None or not (is_a or vote.sides == texts[::-1]):
            if set(vote.names) == {meeting.model, meeting.against}:
                raise DataError(
                    f"the votes on {meeting.model} and {meeting.against} are on other answers than "
                    "those of this evaluation",
                    received=f"a vote on {vote.id}",
                    remedy="give the votes on these answers, or evaluate the models of then",
                )
            continue
        score = _SCORES[vote.label] if is_a else 1 - _SCORES[vote.label]
        is_first = vote.left == ("a" if is_a else "b")
        found.append((vote, Verdict(vote.id, vote.rater, is_first, score)))
    return found


def _people(
    placed: Sequence[_Placed],
    scores: Mapping[Hashable, float],
    meeting: Meeting,
    resampling: Resampling,
) -> Signal:
    verdicts = [verdict for _, verdict in placed]
    found = win_rate(verdicts, meeting.clusters, resampling)
    raters = {vote.rater: vote for vote, _ in placed}
    ordered = sorted(placed, key=lambda each: each[0].at)  # stable: lost times keep their order
    seen = evidence(*first_votes((v.prompt, v.score or 0.0) for _, v in ordered))
    flagged = [f"{name} ({', '.join(vote.flags)})" for name, vote in raters.items() if vote.flags]
    details: JsonObject = {
        "votes": len(placed),
        "raters": len(raters),
        "first_wins": found.positions.first_wins,
        "e_value": seen.e_value,
        "log_e": seen.log_e,
        "enough": seen.is_enough,
        "more": seen.more,
        "between_raters": _reliability(_between(placed, resampling)),
        "with_themselves": _with_themselves(raters.values(), resampling.level),
        "with_judge": _reliability(_with_judge(scores, meeting.judge or {}, resampling)),
    }
    assert found.estimate is not None  # every vote has a score
    notes = (f"below the limits: {', '.join(flagged)}",) if flagged else ()
    return signal_of(
        "people",
        found.estimate,
        model=meeting.model,
        against=meeting.against,
        notes=notes,
        details=details,
    )


def _between(placed: Sequence[_Placed], resampling: Resampling) -> Reliability | None:
    """Return Krippendorff's alpha of all labels, ties and "both bad" too."""
    units: dict[Hashable, list[Hashable]] = {}
    for vote, verdict in placed:
        said = vote.label if verdict.score == 0.5 else verdict.score
        units.setdefault(verdict.prompt, []).append(said)
    shared = [unit for unit in units.values() if len(unit) > 1]
    return krippendorff_alpha(shared, resampling=resampling) if shared else None


def _with_themselves(raters: Iterable[PersonVote], level: float) -> JsonObject | None:
    """Return how often raters said the same of a repeated screen, over all raters."""
    counts = [vote.repeats for vote in raters]
    same, n = sum(each[0] for each in counts), sum(each[1] for each in counts)
    if not n:
        return None
    interval = wilson(same, n, level)
    return {"same": same, "n": n, "low": interval.low, "high": interval.high}


def _with_judge(
    scores: Mapping[Hashable, float], judge: Mapping[str, float], resampling: Resampling
) -> Reliability | None:
    """Return Cohen's kappa of whom people and the judge prefer on the prompts that both have."""
    both = [prompt for prompt in scores if prompt in judge]
    if not both:
        return None
    people = [_side(scores[prompt]) for prompt in both]
    return cohen_kappa(people, [_side(judge[str(prompt)]) for prompt in both], resampling)


def _side(score: float) -> str:
    return "tie" if score == 0.5 else "candidate" if score > 0.5 else "baseline"


def _reliability(found: Reliability | None) -> JsonObject | None:
    if found is None:
        return None
    interval = found.interval
    return {
        "value": found.value,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "agreement": found.agreement,
        "n": found.units,
    }


def _blended(
    placed: Sequence[_Placed],
    scores: Mapping[Hashable, float],
    meeting: Meeting,
    level: float,
) -> Signal:
    judge = meeting.judge or {}
    population, _ = shown_population(meeting.items, meeting.specs)
    reason = _why_not(placed, population)
    here = [item.id for item in population if item.id in scores and item.id in judge]
    others = [item.id for item in population if item.id not in scores and item.id in judge]
    if not reason and not (here and others):
        reason = "not blended: the judge needs prompts with votes and prompts without"
    if reason:
        return _refused(meeting, len(scores), level, reason)
    labels = meeting.clusters
    found = blend(
        LabelledScores(
            people=[scores[name] for name in here],
            judge=[judge[name] for name in here],
            judge_elsewhere=[judge[name] for name in others],
            drawn_at_random=True,
            clusters=None if labels is None else labels_of(here, labels),
            clusters_elsewhere=None if labels is None else labels_of(others, labels),
        ),
        level,
    )
    drawn = int(placed[0][0].sample.get("drawn", len(scores)))
    notes = [str(found)]
    if drawn > len(scores):
        missing = counted(drawn - len(scores), "drawn prompt")
        notes.append(f"{missing} without a vote, taken for missing at random")
    if unread := len(population) - len(here) - len(others):
        notes.append(f"{counted(unread, 'prompt')} without a verdict left out")
    return signal_of(
        "blend",
        found.estimate,
        model=meeting.model,
        against=meeting.against,
        notes=tuple(notes),
        details={
            "weight": found.weight,
            "labels": found.labels,
            "worth": found.worth,
            "people": found.people.estimate,
            "people_low": found.people.low,
            "people_high": found.people.high,
        },
    )


def _why_not(placed: Sequence[_Placed], population: Sequence[Item]) -> str:
    """Return why judge and people must not be blended; "" where they may."""
    samples = [vote.sample for vote, _ in placed]
    if any(sample.get("method") != METHOD for sample in samples):
        return "not blended: `label export` did not draw at random who got labelled"
    if len({sample.get("key") for sample in samples}) > 1:
        return "not blended: the votes are of several draws, which are no random sample together"
    if samples[0].get("population_sha256") != population_digest(population):
        return "not blended: the votes were drawn from other answers than those of this evaluation"
    return ""


def _refused(meeting: Meeting, n: int, level: float, reason: str) -> Signal:
    return Signal(
        signal="blend",
        model=meeting.model,
        against=meeting.against,
        n=n,
        clusters=n,
        estimate=None,
        low=None,
        high=None,
        level=level,
        method="PPI++",
        is_defined=False,
        notes=(reason,),
    )
