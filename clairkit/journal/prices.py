"""Price calls: US dollars per million tokens, by model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from clairkit.journal.results import Usage

BATCH = "openai-batch"
"""In place of `openai` in a model's name: its reply came out of a batch file."""

BATCH_SHARE = 0.5
"""What OpenAI's Batch API takes of the list price."""

LIST_DATE = "November 2026"
"""When the list prices were read."""

_FREE = ("hf", "python")
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens.

    Raises:
        ValueError: a price is negative or no finite number.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        for value in (self.input, self.output):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(value)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return US dollars."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


@cache
def list_prices() -> Mapping[str, Price]:
    """Return OpenAI's list prices: for prompts below 272k tokens, no discount for cached input."""
    from clairkit.records.formats.yaml_file import packaged

    found = packaged("journal/assets/prices.yaml")
    return {name: Price(**values) for name, values in found.items()}


class Prices:
    """The price of each model: the user's where there is one, else OpenAI's list price.

    Models that run in this process (`hf:`, `python:`) cost nothing. A dated snapshot costs what
    its model does. Replies out of a batch file cost half, unless `openai-batch:MODEL` is priced.
    """

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = {_bare(name): price for name, price in (own or {}).items()}

    @classmethod
    def load(cls, file: str | None = None, overrides: Sequence[str] = ()) -> Prices:
        """Return the prices of a file and of `MODEL=IN,OUT` texts; the texts win.

        The file is YAML or JSON: `MODEL: {input: US$, output: US$}`, per million tokens.

        Raises:
            UsageError: a text has not that form, or there is no such file.
            DataError: the file holds something else.
        """
        own = {} if file is None else _read(file)
        return cls(own | dict(map(_parse, overrides)))

    def price(self, model: str) -> Price | None:
        """Return the price of a model by its spec; None when it is not known."""
        kind, _, _ = model.partition(":")
        bare = _bare(model)
        if bare in self._own:
            return self._own[bare]
        if kind in _FREE:
            return Price(0.0, 0.0)
        if kind == BATCH:
            full = self.price(f"openai:{model.partition(':')[2]}")
            return full and Price(full.input * BATCH_SHARE, full.output * BATCH_SHARE)
        model_of_snapshot = _SNAPSHOT.sub("", bare)
        listed = list_prices()
        return listed.get(bare) or self._own.get(model_of_snapshot) or listed.get(model_of_snapshot)

    def cost(self, model: str, prompt_tokens: float, completion_tokens: float) -> float | None:
        """Return what calls of a model cost in US dollars; None when its price is not known."""
        price = self.price(model)
        return None if price is None else price.cost(prompt_tokens, completion_tokens)

    def cost_of(self, usage: Mapping[str, Usage]) -> float | None:
        """Return what all calls cost, given by model; None when one has no price."""
        costs = [
            self.cost(name, spent.prompt_tokens, spent.completion_tokens)
            for name, spent in usage.items()
        ]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def require(self, models: Iterable[str]) -> None:
        """Check that the price of every model is known.

        Raises:
            UsageError: one has none.
        """
        for name in models:
            if self.price(name) is None:
                remedy = f"give --price {_bare(name)}=IN,OUT in US$ per million tokens, or --prices"
                raise UsageError("the price of a model is not known", received=name, remedy=remedy)


def dollars(cost: float) -> str:
    """Return a sum of US dollars as people read it: cents from one dollar on, else two digits."""
    if cost >= 1 or cost == 0:
        return f"${cost:,.2f}"
    return f"${cost:.{max(2, 1 - math.floor(math.log10(cost)))}f}" if cost >= 1e-6 else "<$0.000001"


def _bare(name: str) -> str:
    return name.removeprefix("openai:")


def _parse(text: str) -> tuple[str, Price]:
    name, _, values = text.rpartition("=")
    fields = values.split(",")
    try:
        price = Price(*map(float, fields)) if name and len(fields) == 2 else None
    except ValueError:
        price = None
    if price is None:
        remedy = "write MODEL=IN,OUT in US$ per million tokens, as gpt-4o-mini=0.15,0.60"
        raise UsageError("not the price of a model", received=text, remedy=remedy)
    return name, price


def _read(file: str) -> dict[str, Price]:
    from clairkit.records.formats.yaml_file import read_yaml

    path = Path(file)
    if not path.is_file():
        problem = "the price file is a directory" if path.is_dir() else "no such price file"
        raise UsageError(problem, received=file, remedy="give a YAML or JSON file")
    try:
        found = read_yaml(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"the prices can't be read ({reason})", path=path, remedy=_FORM) from None
    if not isinstance(found, dict):
        raise DataError("is not a price file", path=path, remedy=_FORM)
    return {_bare(str(name)): _entry(path, str(name), value) for name, value in found.items()}


_FORM = "write `MODEL: {input: 0.15, output: 0.60}`, in US$ per million tokens"


def _entry(path: Path, name: str, value: object) -> Price:
    fields = value if isinstance(value, dict) else {}
    for key in fields:
        if key not in ("input", "output"):
            raise DataError(
                f"{excerpt(name)} has an unknown field",
                path=path,
                received=excerpt(str(key)),
                remedy=_FORM,
            )
    try:
        return Price(_number(fields.get("input")), _number(fields.get("output")))
    except ValueError as error:
        raise DataError(
            f"the price of {excerpt(name)} is not a pair of numbers",
            path=path,
            received=excerpt(str(error)),
            remedy=_FORM,
        ) from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    return float(value)
