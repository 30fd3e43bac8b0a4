"""Take sizes as people write them: 24GB, 24 GiB, 24g, or bytes."""

from __future__ import annotations

import click

from clairkit.choices import size_in_bytes
from clairkit.errors import UsageError


class _Size(click.ParamType):
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
