"""Ask a judge which of two answers is better, in both orders.

Models prefer what stands first, or second: a preference that changes with the order is none.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from clairkit.engine.program import Call, request_key, row_columns
from clairkit.journal.results import Recorded
from clairkit.judging.rubrics import load_rubric
from clairkit.judging.verdicts import (
    Form,
    Grade,
    Verdict,
    plain,
    read_said,
    read_verdict,
    render_request,
    template_hash,
)
from clairkit.models.markers import make_nonce
from clairkit.models.requests import JudgeRequest, Model, Task
from clairkit.models.sampling import Failure, Sampling
from clairkit.records import Message, PromptRow, digest

JUDGE = "judge"
_SWAPPED: dict[Verdict, Verdict] = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True)
class Judgement:
    """What a judge said of two answers, asked in both orders.

    Attributes:
        winner: the answer that is better in both orders; "tie" when neither is, or when the
            orders disagree; None when a verdict is missing.
        consistent: whether both orders gave the same verdict.
        recorded: the journalled results, in the order first-second, second-first.
        verdicts: what each order said, the answers named as in `winner`; empty when one failed.
        failure: why there is no winner.
    """

    winner: Verdict | None
    consistent: bool
    recorded: tuple[Recorded, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    failure: Failure | None = None

    @property
    def score(self) -> float:
        """Return how far the verdicts favour the first answer: 1, 0.5, 0, -0.5 or -1."""
        return (self.verdicts.count("first") - self.verdicts.count("second")) / 2


Judging = Generator[Sequence[Call], Sequence[Recorded], list[Judgement]]


@dataclass(frozen=True)
class Asked:
    """One order of two answers, as it was asked."""

    call: Call
    nonce: str


@dataclass(frozen=True)
class Judge:
    """A model with what it is told to look at.

    Attributes:
        model: who judges; a function gets a `JudgeRequest`.
        sampling: of its replies.
        rubric: what counts, as text; "" is that of the rubric `general`.
        language: of the request.
        form: what it may say; `compare` does not ask how much better an answer is.

    Raises:
        UsageError: there is no request in that language.
    """

    model: Model
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.0, max_new_tokens=1024)
    )
    rubric: str = ""
    language: str = "en"
    form: Form = "verdict"

    def __post_init__(self) -> None:
        template_hash(self.language, self.form)
        if not self.rubric:
            object.__setattr__(self, "rubric", load_rubric(None, self.language).text)

    @cached_property
    def hash(self) -> str:
        """Return what determines the request besides the texts; part of every key."""
        return digest([template_hash(self.language, self.form), self.rubric])[:16]

    def settings(self) -> dict[str, object]:
        """Return what of the request may not change from one run to the next; flat."""
        if self.model.is_function:
            return {}
        return {
            "judge.rubric": self.rubric,
            "judge.template": template_hash(self.language, self.form),
        }

    def compare(
        self, row: PromptRow, pairs: Sequence[tuple[str, str]], *, stage: int, step: str = JUDGE
    ) -> Judging:
        """Ask which answer of each pair is better, all pairs and both orders in one round.

        Answers that are equal are a tie, and nothing is asked.

        Args:
            row: holds the prompt that was answered.
            pairs: the answers to be compared, first and second.
            stage: of the calls, see `clairkit.engine.program.Call`.
            step: of the calls, in the journal.
        """
        asked = [
            self.ask(row, answers, stage, step)
            for first, second in pairs
            if first != second
            for answers in ((first, second), (second, first))
        ]
        results: Sequence[Recorded] = ()
        if asked:
            results = yield [each.call for each in asked]
        answered = iter(list(zip(asked, results, strict=True)))
        return [
            Judgement("tie", True, verdicts=("tie", "tie"))
            if first == second
            else self._judgement(next(answered), next(answered))
            for first, second in pairs
        ]

    def ask(self, row: PromptRow, answers: tuple[str, str], stage: int, step: str = JUDGE) -> Asked:
        """Return the call that asks about two answers in this order; arguments as of `compare`.

        Args:
            row: with the prompt.
            answers: the two, in this order.
            stage: of the row's program, counted from 0.
            step: the call's name in the journal.
        """
        decides: dict[str, object] = {"prompt": row.prompt, "answers": answers}
        if not self.model.is_function:
            decides["template"] = self.hash
        key = request_key(JUDGE, self.model, decides, row=row, sampling=self.sampling)
        request = JudgeRequest(row.prompt, *answers, row_columns(row))
        nonce = make_nonce(key, [self.rubric, *answers, *(turn["content"] for turn in row.prompt)])
        messages: tuple[Message, ...] = ()
        if not self.model.is_function:
            messages = render_request(
                row.prompt,
                answers,
                self.rubric,
                language=self.language,
                nonce=nonce,
                form=self.form,
            )
        return Asked(
            Call(step, stage, self.model, Task(key, messages, request, self.sampling)), nonce
        )

    def _judgement(self, *answered: tuple[Asked, Recorded]) -> Judgement:
        recorded = tuple(result for _, result in answered)
        verdicts: list[Verdict] = []
        for asked, result in answered:
            said = self.read(asked, result)
            if isinstance(said, Failure):
                return Judgement(None, False, recorded, failure=said)
            verdicts.append(_SWAPPED[plain(said)] if verdicts else plain(said))
        agreed = verdicts[0] == verdicts[1]
        return Judgement(verdicts[0] if agreed else "tie", agreed, recorded, tuple(verdicts))

    def read(self, asked: Asked, recorded: Recorded) -> Grade | Failure:
        """Return what was said of the two answers, or why nothing can be read."""
        outcome = recorded.outcome
        if isinstance(outcome, Failure):
            # A function that returns None sees nothing to choose between.
            return "tie" if self.model.is_function and outcome.reason == "no_op" else outcome
        return read_said(outcome) if self.model.is_function else read_verdict(outcome, asked.nonce)
