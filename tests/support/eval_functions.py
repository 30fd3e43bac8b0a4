"""Models and judges of an evaluation with known truth; each call is noted in the file `asked`."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any


def _chance(*parts: object) -> float:
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


def _note(*parts: str) -> None:
    file = os.open("asked", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, ("|".join(parts) + "\n").encode())  # in one piece, whoever is killed
    os.close(file)


def _answer(who: str, request: Any, right: float) -> str:
    number = request.row["n"]
    _note(who, str(number))
    is_right = _chance(who, number) < right
    return f"{number} is {'right' if is_right else 'wrong'} {who}"


async def old(request: Any) -> str:
    """Right in half."""
    await asyncio.sleep(0)
    return _answer("old", request, 0.5)


async def new(request: Any) -> str:
    """Right in eight of ten."""
    await asyncio.sleep(0)
    return _answer("new", request, 0.8)


def same(request: Any) -> str:
    """Say as `old`, word for word."""
    return _answer("old", request, 0.5)


def longer(request: Any) -> str:
    """Say much in three of four, little in the others; the judge `by_length` sees no more."""
    number = request.row["n"]
    _note("longer", str(number))
    extra = int(40 * _chance("length", number)) - 10
    return f"{number} is " + "word " * max(0, extra)


def has_vowel(_prompt: Any, answer: str, _row: Any) -> bool:
    return any(letter in answer for letter in "aeiou")


def check(_prompt: Any, answer: str, _row: Any) -> bool:
    return "right" in answer


async def perfect(request: Any) -> str:
    """Prefer what is right."""
    await asyncio.sleep(0)
    _note("perfect", request.first, request.second)
    good = ["right" in request.first, "right" in request.second]
    return "tie" if good[0] == good[1] else "first_much" if good[0] else "second"


async def noisy(request: Any) -> str:
    """As `perfect` in seven of ten, else what stands first or second, by chance."""
    verdict = await perfect(request)
    if _chance(request.first, request.second) < 0.7:
        return verdict
    return "first" if _chance(request.second, request.first) < 0.5 else "second"


def always_first(_request: Any) -> str:
    return "first"


def by_length(request: Any) -> str:
    """Prefer what is longer."""
    return "first" if len(request.first) > len(request.second) else "second"


def mumbles(request: Any) -> str:
    """Say nothing that can be read in three of ten."""
    if _chance(request.first, request.second) < 0.3:
        return "well, both have their merits"
    good = ["right" in request.first, "right" in request.second]
    return "tie" if good[0] == good[1] else "first" if good[0] else "second"
