"""From the journal to pairs: each row in its input order is a pair, or has a reason, or is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clairkit.generation.gates import check_revision, is_refusal
from clairkit.generation.journal import Journal, Recorded
from clairkit.generation.parser import Revision, parse_reply
from clairkit.generation.recipe import ANSWER, REVISE, Recipe
from clairkit.generation.sampling import Failure, Reply
from clairkit.records import Message, Pair, PromptRow

_PAIR_COLUMNS = frozenset(
    ("id", "prompt", "chosen", "rejected", "rationale", "source", "scores", "provenance")
)


@dataclass(frozen=True)
class Quarantined:
    """A row that became no pair, and why."""

    row: PromptRow
    step: str
    answer: str | None
    failure: Failure

    def to_json(self) -> dict[str, Any]:
        """Return the row as an object of the quarantine file."""
        failure = self.failure
        row: dict[str, Any] = {
            "id": self.row.id,
            "reason": failure.reason,
            "detail": failure.detail,
            "step": self.step,
            "prompt": list(self.row.prompt),
            "answer": self.answer,
        }
        return {**row, "reply": failure.text} if failure.text else row


@dataclass(frozen=True)
class Open:
    """A row that is not done yet."""

    row: PromptRow


RowResult = Pair | Quarantined | Open


def row_results(rows: Iterable[PromptRow], recipe: Recipe, journal: Journal) -> Iterator[RowResult]:
    """Yield what became of each row, in their order."""
    seen: dict[str, str] = {}
    shared = recipe.provenance()
    for row in rows:
        result = _result(row, recipe, journal, shared)
        if not isinstance(result, Pair):
            yield result
        elif result.id in seen:
            failure = Failure("duplicate", f"the same as row {seen[result.id]}")
            yield Quarantined(row, REVISE, result.rejected[-1]["content"], failure)
        else:
            seen[result.id] = row.id
            yield result


def find_answer(row: PromptRow, recipe: Recipe, journal: Journal) -> Recorded | None:
    """Return the row's answer: its own, or what the target said, or why it said nothing."""
    if row.answer is not None:
        recorded: Recorded | None = Recorded(0, Reply(row.answer))
    else:
        recorded = journal.latest(recipe.answer_task(row).key, ANSWER)
    if recorded is None or isinstance(recorded.outcome, Failure):
        return recorded
    return Recorded(recorded.attempt, _usable(recorded.outcome))


def _usable(answer: Reply) -> Reply | Failure:
    if answer.finish_reason == "length":
        return Failure("answer_truncated", "cut at its token limit", answer.text)
    if not answer.text.strip():
        return Failure("answer_empty", "no text")
    return answer


def _result(
    row: PromptRow, recipe: Recipe, journal: Journal, shared: Mapping[str, Any]
) -> RowResult:
    answer = find_answer(row, recipe, journal)
    if answer is None:
        return Open(row)
    if isinstance(answer.outcome, Failure):
        return Quarantined(row, ANSWER, row.answer, answer.outcome)
    text = answer.outcome.text
    key = recipe.revise_key(row, text)
    revised = journal.latest(key, REVISE)
    if revised is None:
        return Open(row)
    found = _revision(row, text, key, revised, recipe)
    if isinstance(found, Failure):
        return Quarantined(row, REVISE, text, found)
    return _pair(row, text, found, {**shared, **_spent(row, answer, revised, recipe)})


def _revision(
    row: PromptRow, answer: str, key: str, revised: Recorded, recipe: Recipe
) -> Revision | Failure:
    reply = revised.outcome
    if isinstance(reply, Failure):
        return reply
    found: Revision | Failure
    if recipe.reviser.is_function:
        found = Revision(reply.text, reply.rationale)
    else:
        found = parse_reply(reply, recipe.render(row, answer, key).marks, answer)
    if isinstance(found, Failure):
        refused = found.reason == "parse_error" and is_refusal(reply.text)
        return Failure("refusal", "the reviser refused", reply.text) if refused else found
    return check_revision(answer, found) or found


def _pair(row: PromptRow, answer: str, revision: Revision, provenance: Mapping[str, Any]) -> Pair:
    taken = {name: value for name, value in row.extra.items() if name in _PAIR_COLUMNS}
    return Pair(
        prompt=row.prompt,
        chosen=(Message(role="assistant", content=revision.text),),
        rejected=(Message(role="assistant", content=answer),),
        rationale=revision.rationale,
        source="clair",
        # A pair's own columns win; what the prompt file had under their names is kept here.
        provenance={**provenance, **({"input": taken} if taken else {})},
        extra={name: value for name, value in row.extra.items() if name not in taken},
    )


def _spent(row: PromptRow, answer: Recorded, revised: Recorded, recipe: Recipe) -> dict[str, Any]:
    """The part of a pair's provenance that is its own."""
    outcome = revised.outcome
    own: dict[str, Any] = {
        "row": row.id,
        "attempts": revised.attempt,
        "tokens": {"prompt": outcome.prompt_tokens, "completion": outcome.completion_tokens},
    }
    if row.answer is None and recipe.target is not None:
        own["target"] = dict(recipe.target.identity)
        if not recipe.target.is_function:
            own["answer_sampling"] = recipe.answer_sampling.to_json()
        own["answer_tokens"] = {
            "prompt": answer.outcome.prompt_tokens,
            "completion": answer.outcome.completion_tokens,
        }
    return own
