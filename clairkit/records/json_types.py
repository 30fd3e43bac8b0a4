"""Name the JSON objects that rows, journals and settings are read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

# The one `Any` that outside data needs: a reader checks each value before it is used as a text,
# a number or a list. Where values are only passed on or compared, `object` says so better.

JsonObject: TypeAlias = dict[str, Any]
"""An object as it was parsed, or one that is being put together."""

JsonMapping: TypeAlias = Mapping[str, Any]
"""An object that is only read."""
