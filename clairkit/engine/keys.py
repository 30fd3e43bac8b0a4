"""Derive keys: the digest of all that determines a result; never a path or a row number."""

from __future__ import annotations

import json

from clairkit.journal.results import SCHEMA_VERSION
from clairkit.models.requests import Model
from clairkit.models.sampling import Sampling
from clairkit.records import PromptRow, digest
from clairkit.records.json_types import JsonMapping, JsonObject


def request_key(
    kind: str, model: Model, decides: JsonMapping, *, row: PromptRow, sampling: Sampling
) -> str:
    """Return the key of one request.

    Args:
        kind: what is asked: `answer`, `revise`, `judge`.
        model: who is asked; its identity is part of the key.
        decides: all else that determines the result, as JSON has it: prompt, answer, template
            hash, settings of the mode.
        row: a function is handed the row's columns, so that they determine its result.
        sampling: of a model that is not a function.
    """
    more = {"row": row_columns(row)} if model.is_function else {"sampling": sampling.to_json()}
    return digest(
        {"schema": SCHEMA_VERSION, "step": kind, "model": model.identity, **decides, **more}
    )


def row_columns(row: PromptRow) -> JsonObject:
    """Return what a function is handed of a row: plain JSON, so that the key can hold it."""
    if not row.extra:
        return {"id": row.id}
    plain: JsonObject = json.loads(json.dumps({"id": row.id, **row.extra}, default=str))
    return plain
