"""Call `python:PACKAGE:FUNCTION`, a user's own function, as target or reviser."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Sequence

from clairkit.models.outcomes import marks_identity, thoughts_apart
from clairkit.models.reasons import HALTED
from clairkit.models.requests import Budget, Task
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.models.threads import in_thread
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_MARKS, Marks
from clairkit.user_code import UserCodeEnded, call, described, load_function, user_code


class PythonModel:
    """Calls a function with one `ReviseRequest` (as reviser) or `AnswerRequest` (as target).

    The function returns the revision or the answer, a text; or None when nothing can be
    improved; or (revision, rationale). An exception becomes that row's failure reason. Plain
    functions are called one at a time in a thread of their own; `async def` functions run
    concurrently. What would end the program, such as SystemExit, ends the run with an error.

    Args:
        path: `PACKAGE.MODULE:FUNCTION`; the current directory is searched first.
        concurrency: of an `async def` function.
        marks: of the thoughts before an answer.

    Raises:
        UsageError: there is no such function.
    """

    is_function = True
    batch_size = 1

    def __init__(self, path: str, *, concurrency: int = 8, marks: Marks = THOUGHT_MARKS) -> None:
        self.name = f"python:{path}"
        self._function = load_function(path)
        self._is_async = inspect.iscoroutinefunction(self._function)
        self.concurrency = concurrency if self._is_async else 1
        self.identity: JsonMapping = {
            "kind": "python",
            "function": path,
            "source": _source_hash(self._function),
            **marks_identity(marks),
        }
        self._marks = marks

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        return [await self._one(task, budget) for task in tasks]

    async def _one(self, task: Task, budget: Budget) -> Outcome:
        if not budget.take():
            return Failure(HALTED)
        try:
            if self._is_async:
                with user_code(self.name):
                    value = await self._function(task.request)
            else:
                value = await in_thread(call, self.name, self._function, task.request)
        except asyncio.CancelledError as error:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            return Failure("function_error", f"{type(error).__name__}: the function cancelled it")
        except UserCodeEnded:
            raise
        except Exception as error:
            return Failure("function_error", described(error))
        return thoughts_apart(_outcome(value), self._marks)

    async def close(self) -> None:
        """Nothing is held."""


def _source_hash(function: Callable[[object], object]) -> str | None:
    """The function's own text; what it calls is the user's to keep."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        return None


def _outcome(value: object) -> Outcome:
    if value is None:
        return Failure("no_op", "the function returned None: nothing to improve")
    text, rationale = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    if isinstance(text, str) and (rationale is None or isinstance(rationale, str)):
        return Reply(text, rationale=rationale)
    got = type(value).__name__
    problem = f"returned {got}; return a text, None, or (revision, rationale)"
    return Failure("function_error", problem)
