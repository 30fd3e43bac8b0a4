"""Count right answers on held-out prompts: one sampled answer a prompt, checked by program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from clairkit.engine.progress import Progress, ProgressHook
from clairkit.errors import DataError, UsageError
from clairkit.evaluation.answering import Answerer, as_model
from clairkit.evaluation.checks import Check, score_answer
from clairkit.evaluation.comparison import Comparison, Contestant, RowResult, ask_all
from clairkit.intervals import Difference, Interval, mean_interval, paired_difference, wilson
from clairkit.journal.results import Journal
from clairkit.models.budget import Budget
from clairkit.models.sampling import Failure, Outcome, Sampling
from clairkit.models.specs import ModelOptions
from clairkit.records import PromptRow
from clairkit.records.json_types import JsonObject
from clairkit.records.leakage import prompt_digest

_TELL = 64  # prompts between two reports of progress


@dataclass(frozen=True)
class AnswerRow:
    """One prompt, its answer, and what the check said.

    Attributes:
        prompt: the row that was asked, with all its columns.
        answer: the text the model gave, without its thoughts; empty when it failed.
        finish_reason: why it stopped ("length": it was cut), or the reason why there is no answer.
        score: what the check returned, in [0, 1]; 0 without an answer.
        right: whether the score reached the pass mark.
        failed: whether there is no answer.
        thoughts: what the model wrote before its answer; no check sees it.
    """

    prompt: PromptRow
    answer: str
    finish_reason: str
    score: float
    right: bool
    failed: bool = False
    thoughts: str | None = None

    def to_json(self) -> JsonObject:
        """Return the row as an object of a prompt file; an answer given before is kept apart."""
        given = {} if self.prompt.answer is None else {"given_answer": self.prompt.answer}
        return {**self.prompt.to_json(), **given, **self.outcome()}

    def outcome(self) -> JsonObject:
        """Return the answer and its outcome alone."""
        thoughts = {"thoughts": self.thoughts} if self.thoughts else {}
        return {
            "answer": self.answer,
            **thoughts,
            "finish_reason": self.finish_reason,
            "score": self.score,
            "right": self.right,
        }


@dataclass(frozen=True)
class Evaluation:
    """How often one model was right.

    Attributes:
        rows: one for each prompt, sorted by id.
        successes: rows that are right.
        n: rows.
        interval: Wilson's interval of successes / n.
        mean_score: mean of the scores; the same as successes / n when the check gives bools.
        cut: answers that ran into the token limit.
        failures: prompts that got no answer, by reason; each of them counts as wrong.
    """

    rows: tuple[AnswerRow, ...]
    successes: int
    n: int
    interval: Interval
    mean_score: float
    cut: int
    failures: dict[str, int]

    @property
    def share(self) -> float:
        """Successes / n, in [0, 1]."""
        return self.successes / self.n

    @property
    def has_scores(self) -> bool:
        """Whether the check gave more than right and wrong."""
        return any(row.score not in (0.0, 1.0) for row in self.rows)

    def score_interval(self, confidence: float = 0.95) -> Interval:
        """Return the bootstrap interval of the mean score; rows with one prompt are drawn together.

        Where the check gives right and wrong alone, the mean is a share: Wilson's interval.
        """
        if not self.has_scores:
            return wilson(sum(row.score == 1.0 for row in self.rows), self.n, confidence)
        return mean_interval(
            [row.score for row in self.rows], confidence, groups=_prompts(self.rows)
        )


def evaluate(
    model: str | Answerer,
    prompts: Iterable[PromptRow],
    check: Check,
    sampling: Sampling,
    *,
    pass_at: float = 1.0,
    confidence: float = 0.95,
    options: ModelOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Sample one answer to each prompt and count how many are right.

    Each answer's randomness comes from the sampling seed and the prompt's id alone, and prompts
    are asked in the order of their ids: their order in the file makes no difference, and two
    models that are asked the same prompts are compared pair by pair.

    Args:
        model: a spec (`hf:`, `openai:` or `python:`), or a loaded `LocalModel` or its like.
        prompts: the held-out prompts, each with an id of its own.
        check: (prompt messages, answer, row mapping) -> bool, or a score in [0, 1].
        sampling: how to sample, as the model is deployed.
        pass_at: the lowest score that is right.
        confidence: of the interval, in (0, 1).
        options: how the model of a spec is run.
        say: told about progress.

    Raises:
        DataError: there is no prompt.
        UsageError: the spec is none, the check fails, or a number is out of its range.
        RemoteError: the server fails or refuses.
    """
    scorer = Scorer(check, pass_at)
    ordered = sorted(prompts, key=lambda row: row.id)
    if not ordered:
        raise DataError("there is no prompt to evaluate on")
    asked = Contestant("model", "", as_model(model, options))
    comparison = Comparison((asked,), sampling)
    with (
        TemporaryDirectory(prefix="clairkit-") as folder,
        closing(Journal(Path(folder) / "answers")) as journal,
    ):
        found = ask_all(
            comparison,
            ordered,
            journal,
            Budget(),
            trial=scorer.score,
            progress=_told(say, len(ordered)),
            say=say,
        )
    found.raise_stopped()
    return counted(scorer, found.results, "model", confidence)


class Scorer:
    """Scores answers by a check; each answer once.

    Args:
        check: says how right an answer is.
        pass_at: the lowest score that is right.

    Raises:
        UsageError: the pass mark lies outside (0, 1].
    """

    def __init__(self, check: Check, pass_at: float = 1.0) -> None:
        if not 0 < pass_at <= 1:
            raise UsageError("the pass mark must lie in (0, 1]", received=pass_at)
        self._check = check
        self._pass_at = pass_at
        self._known: dict[tuple[str, str], AnswerRow] = {}

    def score(self, result: RowResult) -> dict[str, AnswerRow]:
        """Return a prompt's answers with their scores, by the models' names.

        Raises:
            UsageError: the check fails, or returns neither a bool nor a number in [0, 1].
        """
        return {name: self._scored(result, name) for name in result.answers}

    def _scored(self, result: RowResult, name: str) -> AnswerRow:
        place = (result.row.id, name)
        if place not in self._known:
            outcome = result.answers[name]
            self._known[place] = _answered(result.row, outcome, self._check, self._pass_at)
        return self._known[place]


def counted(
    scorer: Scorer, results: Iterable[RowResult], name: str, confidence: float = 0.95
) -> Evaluation:
    """Return how often one of the models was right.

    Args:
        scorer: says whether an answer is right.
        results: of the prompts, in their order.
        name: of the model.
        confidence: of the interval.

    Raises:
        UsageError: as of `Scorer.score`.
    """
    return _counted([scorer.score(each)[name] for each in results], confidence)


def _told(say: Callable[[str], None], total: int) -> ProgressHook:
    """Return the hook that tells how many prompts are answered, now and then."""
    told = 0

    def tell(progress: Progress) -> None:
        nonlocal told
        if progress.done > told and (progress.done == total or progress.done >= told + _TELL):
            told = progress.done
            say(f"{told} of {total} prompts answered")

    return tell


def compare(before: Evaluation, after: Evaluation, confidence: float = 0.95) -> Difference:
    """Return the paired difference of two evaluations on the same prompts.

    Raises:
        UsageError: the prompts differ.
    """
    pairs = _paired(before, after)
    return paired_difference(
        [old.right for old, _ in pairs], [new.right for _, new in pairs], confidence
    )


def score_change(before: Evaluation, after: Evaluation, confidence: float = 0.95) -> Interval:
    """Return the bootstrap interval of the change of the mean score, prompt by prompt.

    Raises:
        UsageError: the prompts differ.
    """
    changes = [new.score - old.score for old, new in _paired(before, after)]
    return mean_interval(changes, confidence, groups=_prompts(after.rows))


def _paired(before: Evaluation, after: Evaluation) -> list[tuple[AnswerRow, AnswerRow]]:
    pairs = list(zip(before.rows, after.rows, strict=False))
    if before.n != after.n or any(old.prompt.id != new.prompt.id for old, new in pairs):
        raise UsageError("two evaluations are compared on the same prompts, and these differ")
    return pairs


def _prompts(rows: Sequence[AnswerRow]) -> list[int]:
    return [prompt_digest(row.prompt) for row in rows]


def _answered(row: PromptRow, outcome: Outcome, check: Check, pass_at: float) -> AnswerRow:
    if isinstance(outcome, Failure):
        return AnswerRow(row, "", outcome.reason, 0.0, False, failed=True)
    if outcome.is_only_thoughts:
        return AnswerRow(
            row, "", "answer_truncated", 0.0, False, failed=True, thoughts=outcome.thoughts
        )
    score = score_answer(check, row, outcome.text)
    return AnswerRow(
        row, outcome.text, outcome.finish_reason, score, score >= pass_at, thoughts=outcome.thoughts
    )


def _counted(rows: Sequence[AnswerRow], confidence: float) -> Evaluation:
    successes = sum(row.right for row in rows)
    failures = Counter(row.finish_reason for row in rows if row.failed)
    return Evaluation(
        rows=tuple(rows),
        successes=successes,
        n=len(rows),
        interval=wilson(successes, len(rows), confidence),
        mean_score=sum(row.score for row in rows) / len(rows),
        cut=sum(row.finish_reason == "length" for row in rows),
        failures=dict(sorted(failures.items())),
    )
