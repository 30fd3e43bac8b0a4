"""What a run would take, without a call: for `--dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.generation.recipe import Recipe
from clairkit.generation.requests import Model
from clairkit.records import PromptRow

_BYTES_PER_TOKEN = 4.0  # of English text; Japanese has about 0.75 tokens a character
_GROWTH = 1.2  # a revision is a little longer than its answer …
_REASONING = 250  # … and stands behind its reasoning
_TYPICAL_ANSWER = 300


@dataclass(frozen=True)
class Estimate:
    """Rows, calls, and roughly the tokens they take (functions take none)."""

    rows: int
    answer_calls: int
    revise_calls: int
    prompt_tokens: int
    completion_tokens: int


def estimate(rows: Sequence[PromptRow], recipe: Recipe) -> Estimate:
    """Return what a run from the start would take."""
    sent = said = 0.0
    for row in rows:
        asked = sum(_tokens(turn["content"]) for turn in row.prompt)
        answer = _answer_tokens(row, recipe)
        if row.answer is None and _is_chat(recipe.target):
            sent += asked
            said += answer
        if _is_chat(recipe.reviser):
            sent += _tokens(recipe.template.text) + asked + answer
            said += min(recipe.revise_sampling.max_new_tokens, _GROWTH * answer + _REASONING)
    bare = sum(row.answer is None for row in rows)
    return Estimate(len(rows), bare, len(rows), round(sent), round(said))


def _is_chat(model: Model | None) -> bool:
    return model is not None and not model.is_function


def _answer_tokens(row: PromptRow, recipe: Recipe) -> float:
    if row.answer is not None:
        return _tokens(row.answer)
    return min(_TYPICAL_ANSWER, recipe.answer_sampling.max_new_tokens)


def _tokens(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN
