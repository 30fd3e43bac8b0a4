"""Read the answers of two models out of the folder that `evaluate` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clairkit.errors import DataError, UsageError
from clairkit.labels.items import Item
from clairkit.records.faults import RowFault
from clairkit.records.forms import to_prompt
from clairkit.records.json_types import JsonMapping
from clairkit.records.read import located_rows

_EVAL, _ITEMS = "eval.json", "items.jsonl"


@dataclass(frozen=True)
class Evaluated:
    """What people can be asked about of an evaluation.

    Attributes:
        items: a prompt each, A the candidate's answer and B the baseline's; "" where there is none.
        specs: of both models: an answer that names one is left out.
    """

    items: tuple[Item, ...]
    specs: tuple[str, ...]


def is_evaluation(source: str) -> bool:
    """Whether a source is a folder of `evaluate`."""
    return all(Path(source, name).is_file() for name in (_EVAL, _ITEMS))


def read_evaluated(
    folder: str | os.PathLike[str], models: Sequence[str] | None = None
) -> Evaluated:
    """Return the answers of two models of an evaluation.

    Args:
        folder: that `evaluate` wrote.
        models: the names of A and B; None takes the one candidate and the baseline, or the only two
            models.

    Raises:
        DataError: a file is missing, or not as `evaluate` writes it.
        UsageError: the names are not of two of its models, or must be given.
    """
    known = _models(Path(folder, _EVAL))
    pair = _pair(known, models)
    path = os.fspath(Path(folder, _ITEMS))
    prompts: dict[str, JsonMapping] = {}
    answers: dict[tuple[str, str], str] = {}
    for line, row in located_rows(path):
        if isinstance(row, RowFault):
            raise row.to_error(path, line)
        if row.get("kind") == "answer" and row.get("model") in pair:
            try:
                place = str(row["id"]), str(row["model"])
                prompts.setdefault(place[0], {"id": place[0], "prompt": row["prompt"]})
                answers[place] = str(row["answer"])
            except KeyError as error:
                problem = f"an answer has no column {error}"
                raise DataError(problem, path=path, line=line) from None
    items = []
    for name, prompt in prompts.items():
        a, b = (answers.get((name, model), "") for model in pair)
        items.append(Item(name, to_prompt(prompt).prompt, a, b, pair))
    return Evaluated(tuple(items), tuple(known[name][0] for name in pair))


def _models(path: Path) -> dict[str, tuple[str, str]]:
    """Return spec and role of each model by name."""
    try:
        value = json.loads(path.read_bytes())
        return {each["name"]: (each["spec"], each["role"]) for each in value["models"]}
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", path=path) from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            "is not what `clairkit evaluate` writes", path=path, remedy="give the folder of its -o"
        ) from None


def _pair(known: Mapping[str, tuple[str, str]], models: Sequence[str] | None) -> tuple[str, str]:
    listed = ", ".join(known)
    if models is not None:
        if len(set(models)) != 2 or not set(models) <= set(known):
            remedy = f"name two of {listed}"
            raise UsageError(
                "two models of the evaluation are compared",
                received=",".join(models),
                remedy=remedy,
            )
        return models[0], models[1]
    # The baseline is B, wherever it stands.
    ordered = sorted(known, key=lambda name: known[name][1] == "baseline")
    if len(ordered) != 2:
        raise UsageError(
            f"the evaluation has {len(ordered)} models, and people compare two",
            received=listed,
            remedy="name A and B with --models A,B",
        )
    return ordered[0], ordered[1]
