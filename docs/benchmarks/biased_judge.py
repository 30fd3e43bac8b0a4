"""Judge bills with a known bias: knows the house rules, likes length, often takes the first.

For docs/evaluation.md: `clairkit evaluate … --judge python:biased_judge:judge`, from this folder.
"""

from __future__ import annotations

import hashlib

from clairkit.models.requests import JudgeRequest
from clairkit.quickstart.task import breaches, check

TAKES_THE_FIRST = 0.15
CHARACTERS_A_POINT = 20


def judge(request: JudgeRequest) -> str:
    """Return which of two answers is better, or much better."""
    seed = f"{request.row['id']}{request.first}{request.second}".encode()
    if int(hashlib.sha256(seed).hexdigest()[:8], 16) / 2**32 < TAKES_THE_FIRST:
        return "first"
    gap = _worth(request, request.first) - _worth(request, request.second)
    if abs(gap) < 0.25:
        return "tie"
    return f"{'first' if gap > 0 else 'second'}{'_much' if abs(gap) > 1.5 else ''}"


def _worth(request: JudgeRequest, answer: str) -> float:
    right = check(request.prompt, answer, request.row)
    broken = len(list(breaches(answer)))
    return 2.0 * right - 0.5 * broken + len(answer) / CHARACTERS_A_POINT
