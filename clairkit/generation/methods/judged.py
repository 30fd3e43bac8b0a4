"""Best and worst of several answers by a judge, and the pair that they make."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from clairkit.engine.program import Call, Program, Quarantined
from clairkit.generation.methods.parts import (
    make_pair,
    role_provenance,
    role_settings,
    thoughts_of,
    tokens_of,
)
from clairkit.journal.results import Recorded
from clairkit.judging.judge import JUDGE, Judge, Judgement
from clairkit.judging.verdicts import UNCLEAR
from clairkit.models.sampling import Failure, Reply
from clairkit.records import PromptRow

ANSWER = "answer"
_TIE, _INCONSISTENT = "judge_tie", "judge_inconsistent"
_Round = Generator[Sequence[Call], Sequence[Recorded], Failure | None]


@dataclass(frozen=True)
class Candidate:
    """An answer to choose from, or why it can't be; `who` says where it came from."""

    outcome: Reply | Failure
    who: Mapping[str, object]


@dataclass
class Knockout:
    """Finds the best and the worst of some answers by comparing two at a time, in few rounds.

    In each round neighbours are compared: winners play on for the best, losers for the worst, who
    stands alone does both. Of equal ones, and where a verdict is unclear, the earlier counts as the
    winner. At the end the best must win against the worst directly and in both orders, so that no
    chain of ties and no circle makes a pair. K answers take about 3 K / 2 comparisons, of two
    calls each.
    """

    judge: Judge
    row: PromptRow
    answers: Sequence[str]
    stage: int
    judged: dict[tuple[int, int], Judgement] = field(default_factory=dict)
    rounds: int = 0

    def play(self) -> Generator[Sequence[Call], Sequence[Recorded], tuple[int, int] | Failure]:
        """Return the places of the best and of the worst, or why there are none."""
        tops, bottoms = list(range(len(self.answers))), list(range(len(self.answers)))
        while len(tops) > 1 or len(bottoms) > 1:
            failure = yield from self._round([*_couples(tops), *_couples(bottoms)])
            if failure is not None:
                return failure
            tops = [self._ranked(group)[0] for group in _groups(tops)]
            bottoms = [self._ranked(group)[-1] for group in _groups(bottoms)]
        best, worst = tops[0], bottoms[0]
        if best == worst:
            return Failure(_INCONSISTENT, "the choices go in a circle")
        final = min(best, worst), max(best, worst)
        failure = yield from self._round([final])
        return failure or self._final(final, best, worst)

    @property
    def results(self) -> tuple[Recorded, ...]:
        """Return the journalled results of all comparisons."""
        return tuple(each for judged in self.judged.values() for each in judged.recorded)

    def _round(self, couples: Sequence[tuple[int, int]]) -> _Round:
        new = [couple for couple in dict.fromkeys(couples) if couple not in self.judged]
        if not new:
            return None
        self.rounds += 1
        stage = self.stage + self.rounds - 1
        step = JUDGE if self.rounds == 1 else f"{JUDGE}.{self.rounds}"
        texts = [(self.answers[one], self.answers[other]) for one, other in new]
        found = yield from self.judge.compare(self.row, texts, stage=stage, step=step)
        self.judged |= zip(new, found, strict=True)
        failures = [each.failure for each in found if each.failure is not None]
        return next((each for each in failures if each.reason != UNCLEAR), None)

    def _ranked(self, group: Sequence[int]) -> Sequence[int]:
        """Return one or two places, the better one first."""
        if len(group) == 2 and self.judged[group[0], group[1]].winner == "second":
            return group[::-1]
        return group

    def _final(self, final: tuple[int, int], best: int, worst: int) -> tuple[int, int] | Failure:
        judgement = self.judged[final]
        if judgement.failure is not None:
            return judgement.failure
        wanted = "first" if final[0] == best else "second"
        if judgement.winner == wanted:
            return best, worst
        if judgement.winner != "tie":
            return Failure(_INCONSISTENT, "the choices go in a circle")
        if judgement.consistent:
            return Failure(_TIE, "equal in both orders")
        return Failure(_INCONSISTENT, f"in both orders: {', '.join(judgement.verdicts)}")


def judged_pair(
    row: PromptRow,
    candidates: Sequence[Candidate],
    judge: Judge,
    *,
    source: str,
    provenance: Mapping[str, object],
    stage: int = 1,
) -> Program:
    """Let the judge choose among answers, and return the pair of the best and the worst.

    Answers that can't be used are left out; with fewer than two left, the row has the reason of
    the first of these.

    Args:
        row: holds the prompt that was answered.
        candidates: the answers, or why there are none.
        judge: who chooses.
        source: of the pair.
        provenance: of the pair, besides what the judge adds.
        stage: of the first comparisons, see `clairkit.engine.program.Call`.
    """
    usable = [
        (each.outcome.text, {**each.who, **thoughts_of(each.outcome)})
        for each in candidates
        if isinstance(each.outcome, Reply)
    ]
    whose: dict[str, Mapping[str, object]] = {}
    for text, who in usable:
        whose.setdefault(text, who)
    texts = list(whose)
    if len(texts) < 2:
        return Quarantined(row, ANSWER, next(iter(texts), None), _why(candidates, len(usable)))
    knockout = Knockout(judge, row, texts, stage)
    found = yield from knockout.play()
    if isinstance(found, Failure):
        return Quarantined(row, JUDGE, row.answer, found)
    best, worst = (texts[place] for place in found)
    return make_pair(
        row,
        chosen=best,
        rejected=worst,
        source=source,
        provenance={
            **provenance,
            "chosen_by": dict(whose[best]),
            "rejected_by": dict(whose[worst]),
            **_judge_provenance(judge),
            "judge_tokens": tokens_of(*knockout.results),
            "comparisons": len(knockout.judged),
        },
    )


def judge_settings(judge: Judge) -> dict[str, object]:
    """Return what may not change of a judge from one run to the next; flat."""
    return role_settings("judge", judge.model, judge.sampling) | judge.settings()


def _judge_provenance(judge: Judge) -> dict[str, object]:
    shared = role_provenance("judge", judge.model, judge.sampling)
    if judge.model.is_function:
        return shared
    return {**shared, "template": {"name": "judge", "hash": judge.hash}}


def _why(candidates: Sequence[Candidate], usable: int) -> Failure:
    """Return why there is nothing to choose between."""
    if usable > 1:
        return Failure("same_answers", f"{usable} that are equal")
    outcomes = (each.outcome for each in candidates)
    failures = [each for each in outcomes if isinstance(each, Failure)]
    return failures[0] if failures else Failure("too_few_answers", f"{usable} given")


def _groups(places: Sequence[int]) -> list[Sequence[int]]:
    """Return neighbours two by two; the last one of an odd number stands alone."""
    return [places[at : at + 2] for at in range(0, len(places), 2)]


def _couples(places: Sequence[int]) -> list[tuple[int, int]]:
    return [(group[0], group[1]) for group in _groups(places) if len(group) == 2]
