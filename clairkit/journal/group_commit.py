"""Group writes into one commit: an `fsync` takes milliseconds, and one serves all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
OnDisk = Callable[[BaseException | None], None]
"""Called in the loop when an item is on the disk, or with the error that kept it from there."""


class GroupCommit(Generic[Item]):
    """Brings items to the disk: they are waited for in a thread, never on the event loop.

    Args:
        insert: opens a transaction and puts items into it: memory only, on the event loop.
        commit: brings the transaction to the disk, in the thread; all or none.
    """

    def __init__(
        self, insert: Callable[[Sequence[Item]], None], commit: Callable[[], None]
    ) -> None:
        self._insert = insert
        self._commit = commit
        self._waiting: list[tuple[Item, OnDisk]] = []
        self._next: asyncio.Future[None] | None = None
        self._is_writing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clairkit-journal")

    def submit(self, item: Item, on_disk: OnDisk) -> asyncio.Future[None]:
        """Have an item written; call `on_disk` when it is on the disk.

        What arrives while a commit is under way shares the next one. The future that is returned
        is done when that commit begins: from then on the item outlives the end of the process.
        """
        loop = asyncio.get_running_loop()
        self._waiting.append((item, on_disk))
        if self._next is None:
            self._next = loop.create_future()
            if not self._is_writing:
                loop.call_soon(self._begin, loop)
        return self._next

    def close(self) -> None:
        """Wait for the commit that is under way."""
        self._thread.shutdown()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand all that waits to the thread."""
        handed, waiting = self._next, self._waiting
        self._next, self._waiting = None, []
        if handed is None:
            return
        if not handed.done():
            handed.set_result(None)
        try:
            self._insert([item for item, _ in waiting])
            writing = loop.run_in_executor(self._thread, self._commit)
        except Exception as error:  # the disk is full, or there are no threads left
            _tell(waiting, error)
            return
        self._is_writing = True
        writing.add_done_callback(lambda done: self._written(loop, done, waiting))

    def _written(
        self,
        loop: asyncio.AbstractEventLoop,
        done: asyncio.Future[None],
        waiting: Sequence[tuple[Item, OnDisk]],
    ) -> None:
        self._is_writing = False
        self._begin(loop)
        _tell(waiting, asyncio.CancelledError() if done.cancelled() else done.exception())


def _tell(waiting: Sequence[tuple[Item, OnDisk]], error: BaseException | None) -> None:
    for _, on_disk in waiting:
        on_disk(error)
