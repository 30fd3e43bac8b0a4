"""Run blocking work beside the event loop, in a thread that can't hold up the process's end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


async def in_thread(function: Callable[..., Result], *arguments: object) -> Result:
    """Run `function` in a daemon thread and return what it returns.

    Unlike the loop's executor, which is waited for when the process ends, a daemon thread lets a
    second Ctrl-C leave at once.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():  # cancelled
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = function(*arguments)
        except BaseException as error:
            # A StopIteration can't be set on a future.
            failed = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="clairkit-work", daemon=True).start()
    return await future
