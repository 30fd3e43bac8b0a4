"""Functions that the tests name as `python:reviser_functions:…`."""

from __future__ import annotations

import asyncio
import time

from clairkit.generation import AnswerRequest, ReviseRequest


def shout(request: ReviseRequest) -> str:
    return request.answer.upper()


def answer(request: AnswerRequest) -> str:
    return f"you said {request.prompt[-1]['content']}"


def explain(request: ReviseRequest) -> tuple[str, str]:
    return f"{request.answer}!", f"row {request.row['id']}, colour {request.row['colour']}"


def nothing(request: ReviseRequest) -> None:
    return None


def number(request: ReviseRequest) -> int:
    return 7


def broken(request: ReviseRequest) -> str:
    raise KeyError("no\x1b[31m such \ud800")


async def cancelled(request: ReviseRequest) -> str:
    raise asyncio.CancelledError


def leaving(request: ReviseRequest) -> str:
    raise SystemExit(3)


async def leaving_later(request: ReviseRequest) -> str:
    raise SystemExit(3)


def surrogate(request: ReviseRequest) -> str:
    return "\udcff"


_WAITING: list[str] = []
_ALL_WAIT = asyncio.Event()


async def together(request: ReviseRequest) -> str:
    """Answer once eight requests wait side by side."""
    _WAITING.append(request.answer)
    if len(_WAITING) == 8:
        _ALL_WAIT.set()
    await asyncio.wait_for(_ALL_WAIT.wait(), 60)
    return request.answer.upper()


def slow_shout(request: ReviseRequest) -> str:
    time.sleep(0.01)
    return request.answer.upper()


not_callable = 3


def thoughtful(_request: AnswerRequest) -> str:
    return "<think>\nThe user wants a sum.\n</think>\n\nThe sum is 42. I hope this helps."
