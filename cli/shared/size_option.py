"""Take sizes as people write them: 24GB, 24 GiB, 24g, or bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clairkit.choices import size_in_bytes
from clairkit.errors import UsageError

if TYPE_CHECKING:
    _IntType = click.ParamType[int]
else:  # older releases have no parameter here
    _IntType = click.ParamType


class _Size(_IntType):
    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return value if isinstance(value, int) else size_in_bytes(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


SIZE = _Size()
"""The type of an option that takes bytes."""
