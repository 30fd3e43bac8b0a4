"""The file of answers: a row a prompt, with the model's answer and the baseline's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clairkit.evaluation.run import Evaluated
    from clairkit.records.json_types import JsonObject


def answer_rows(found: Evaluated) -> Iterator[JsonObject]:
    """Yield the checked answers of the one candidate, with all columns of the prompt file."""
    specs = {each.name: each.spec for each in found.plan.comparison.contestants}
    (name,) = found.plan.candidates
    base = found.plan.baseline
    for place, answer in enumerate(found.checked[name].rows):
        row = {**answer.to_json(), "model": specs[name]}
        if base is not None:
            other = found.checked[base].rows[place]
            row["baseline"] = {**other.outcome(), "model": specs[base]}
        yield row
