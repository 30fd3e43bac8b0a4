"""Pairs for tests that need any."""

from __future__ import annotations

from typing import Any

from clairkit.records import Pair


def some_pairs(count: int) -> list[Pair]:
    """Return pairs whose sides differ in a few words."""

    def said(role: str, text: str) -> tuple[Any, ...]:
        return ({"role": role, "content": text},)

    return [
        Pair(
            prompt=said("user", f"say {n}"),
            chosen=said("assistant", f"the {n} fox"),
            rejected=said("assistant", f"a {n} dog is here"),
        )
        for n in range(count)
    ]
