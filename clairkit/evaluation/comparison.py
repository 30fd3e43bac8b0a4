"""Ask models the same prompts, and judges which of two answers is better, through the engine."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations, islice, product

from clairkit.engine.driver import run_works
from clairkit.engine.program import Call
from clairkit.engine.progress import ProgressHook
from clairkit.engine.replay import Open, Work, replay
from clairkit.evaluation.answering import answer_call
from clairkit.journal.results import Journal, Recorded
from clairkit.judging.judge import Asked, Judge
from clairkit.judging.verdicts import Grade
from clairkit.models.budget import Budget
from clairkit.models.requests import Model
from clairkit.models.sampling import Failure, Outcome, Sampling
from clairkit.records import PromptRow

_SCORES: Mapping[Grade, float] = {
    "first_much": 1.0,
    "first": 1.0,
    "tie": 0.5,
    "second": 0.0,
    "second_much": 0.0,
}


@dataclass(frozen=True)
class Contestant:
    """A model that is compared.

    Attributes:
        name: as the user calls it.
        spec: as the user gave it.
        model: answers.
        is_baseline: the others are compared with it.
    """

    name: str
    spec: str
    model: Model
    is_baseline: bool = False


@dataclass(frozen=True)
class NamedJudge:
    """A judge by the name that its signals carry."""

    name: str
    judge: Judge


@dataclass(frozen=True)
class JudgedOrder:
    """One verdict: two answers to a prompt, in one order.

    Attributes:
        judge: its name.
        model: the candidate.
        against: what it is compared with.
        first: which of the two was shown first.
        grade: what was said; None when it could not be read.
        failure: why not.
        recorded: the reply as the journal has it; None where nothing was asked.
    """

    judge: str
    model: str
    against: str
    first: str
    grade: Grade | None
    failure: Failure | None = None
    recorded: Recorded | None = None

    @property
    def score(self) -> float | None:
        """Return 1 where the candidate is better, 1/2 for a tie, 0 where it is worse."""
        if self.grade is None:
            return None
        score = _SCORES[self.grade]
        return score if self.first == self.model else 1 - score

    @property
    def is_much(self) -> bool:
        """Whether one is much better."""
        return self.grade in ("first_much", "second_much")


@dataclass(frozen=True)
class RowResult:
    """What became of one prompt: the answers by the models' names, and the verdicts on them."""

    row: PromptRow
    answers: Mapping[str, Outcome]
    verdicts: tuple[JudgedOrder, ...] = ()


Asking = Generator[Sequence[Call], Sequence[Recorded], RowResult]


@dataclass(frozen=True)
class Comparison:
    """Who answers, who judges, and which answers are compared.

    Attributes:
        contestants: in the order in which they are asked.
        sampling: of the answers.
        judges: each is asked about every meeting in both orders.
        all_pairs: let candidates meet each other, too, and not only the baseline.
    """

    contestants: tuple[Contestant, ...]
    sampling: Sampling
    judges: tuple[NamedJudge, ...] = ()
    all_pairs: bool = False

    @property
    def models(self) -> Mapping[str, Model]:
        """The models by role, for the forecast of a dry run."""
        named = {each.name: each.model for each in self.contestants}
        return named | {f"judge {each.name}": each.judge.model for each in self.judges}

    @cached_property
    def baseline(self) -> str | None:
        """Return the baseline's name."""
        return next((each.name for each in self.contestants if each.is_baseline), None)

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """Return the names of all but the baseline."""
        return tuple(each.name for each in self.contestants if not each.is_baseline)

    @cached_property
    def specs(self) -> Mapping[str, str]:
        """Return the models' specs by name."""
        return {each.name: each.spec for each in self.contestants}

    @cached_property
    def meetings(self) -> tuple[tuple[str, str], ...]:
        """Return whose answers are compared: (model, against)."""
        bases = () if self.baseline is None else (self.baseline,)
        among = combinations(self.candidates, 2) if self.all_pairs else ()
        return (*product(self.candidates, bases), *among)

    def program(self, row: PromptRow) -> Asking:
        """Return the program of a row: all answers in one round, all verdicts in the next."""
        recorded = yield [
            answer_call(row, each.model, self.sampling, stage)
            for stage, each in enumerate(self.contestants)
        ]
        answers = {
            each.name: found.outcome for each, found in zip(self.contestants, recorded, strict=True)
        }
        texts = {name: answer_text(outcome) for name, outcome in answers.items()}
        orders = list(self._orders(row, texts))
        asked = [order for order in orders if isinstance(order[1], Asked)]
        results: Sequence[Recorded] = ()
        if asked:
            results = yield [order[1].call for order in asked if isinstance(order[1], Asked)]
        replies = iter(results)
        return RowResult(row, answers, tuple(_judged(order, replies) for order in orders))

    def _orders(self, row: PromptRow, texts: Mapping[str, str | None]) -> Iterator[_Order]:
        for number, named in enumerate(self.judges):
            stage = len(self.contestants) + number
            for model, against in self.meetings:
                for first, second in ((model, against), (against, model)):
                    shown = texts[first], texts[second]
                    place = JudgedOrder(named.name, model, against, first, None)
                    yield place, _known(*shown) or named.judge.ask(row, _both(shown), stage), named


_Order = tuple[JudgedOrder, Grade | Asked, NamedJudge]


def answer_text(outcome: Outcome) -> str | None:
    """Return the text that a judge is shown; None where there is no answer."""
    return None if isinstance(outcome, Failure) or outcome.is_only_thoughts else outcome.text


def _known(first: str | None, second: str | None) -> Grade | None:
    """Return the verdict that needs no judge: equal answers tie, a missing one loses."""
    if first == second:
        return "tie"
    if first is None or second is None:
        return "second" if first is None else "first"
    return None


def _both(shown: tuple[str | None, str | None]) -> tuple[str, str]:
    return shown[0] or "", shown[1] or ""


def _judged(order: _Order, replies: Iterator[Recorded]) -> JudgedOrder:
    place, asked, named = order
    grade: Grade | None
    recorded = failure = None
    if isinstance(asked, Asked):
        recorded = next(replies)
        said = named.judge.read(asked, recorded)
        grade, failure = (None, said) if isinstance(said, Failure) else (said, None)
    else:
        grade = asked
    names = place.judge, place.model, place.against, place.first
    return JudgedOrder(*names, grade, failure, recorded)


@dataclass(frozen=True)
class Answered:
    """What a run found.

    Attributes:
        results: of the rows that are done, in their order.
        unfinished: rows that are not, of any comparison.
        control: says what stopped the run, if anything did.
        more: the results of each further comparison, likewise.
    """

    results: tuple[RowResult, ...]
    unfinished: int
    control: Budget
    more: tuple[tuple[RowResult, ...], ...] = ()

    def raise_stopped(self) -> None:
        """Raise what ended the run early: its error, or the signal anew.

        Raises:
            ClairError: the run's error.
        """
        if self.control.error is not None:
            raise self.control.error
        if self.control.signal is not None:
            signal.raise_signal(self.control.signal)


def ask_all(
    comparison: Comparison,
    rows: Sequence[PromptRow],
    journal: Journal,
    control: Budget,
    *,
    more: Sequence[tuple[Comparison, Sequence[PromptRow]]] = (),
    trial: Callable[[RowResult], object] | None = None,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
) -> Answered:
    """Make all calls that the journal has no result of; return what is known then.

    Args:
        comparison: whom to ask what.
        rows: the prompts.
        journal: where results are looked up and recorded.
        control: the run's caps, and its cause of stopping.
        more: what else is asked of whom.
        trial: called with the first row as soon as it is done; an error ends the run, so that a
            faulty check does not show only when all has been paid for.
        progress: called after each result.
        say: told remarks for the user.
    """
    parts = [(comparison, rows), *more]
    done: dict[int, RowResult] = {}
    works: list[Work[RowResult]] = [
        partial(each.program, row) for each, prompts in parts for row in prompts
    ]
    noted: list[Work[RowResult]] = [
        partial(_noted, work, done, place, None if place else trial)
        for place, work in enumerate(works)
    ]
    run_works(noted, journal, control, progress=progress, say=say, total=len(works))
    # A run that was stopped leaves rows whose calls are all known, but were not looked at again.
    found = (
        done[place] if place in done else replay(work, journal) for place, work in enumerate(works)
    )
    first, *others = (
        [each for each in islice(found, len(prompts)) if not isinstance(each, Open)]
        for _, prompts in parts
    )
    unfinished = len(works) - len(first) - sum(map(len, others))
    return Answered(tuple(first), unfinished, control, tuple(map(tuple, others)))


def _noted(
    work: Work[RowResult],
    done: dict[int, RowResult],
    place: int,
    trial: Callable[[RowResult], object] | None,
) -> Asking:
    """Run a program, try its result, and keep it: no request is made anew to read the replies."""
    result = yield from work()
    if trial is not None:
        trial(result)
    done[place] = result
    return result
