"""One HTTP/1.1 connection of a client."""

from __future__ import annotations

import asyncio
from typing import cast

from clairkit.generation.http_reader import HttpResponse, ResponseReader, WireFault


class Connection(asyncio.Protocol):
    """One connection, for one request after the other.

    Attributes:
        can_be_kept: whether another request may be sent.
    """

    def __init__(self) -> None:
        self.can_be_kept = True
        self.transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._done: asyncio.Future[HttpResponse] | None = None

    async def exchange(self, request: bytes, cap: int, *, has_body: bool = True) -> HttpResponse:
        """Send a request and return its response, its body up to `cap` bytes.

        Raises:
            WireFault: there was no whole response.
            OSError: the connection failed.
        """
        assert self.transport is not None
        self._reader = ResponseReader(cap, has_body=has_body)
        self._done = asyncio.get_running_loop().create_future()
        self.can_be_kept = False  # until the response is whole
        self.transport.write(request)
        try:
            return await self._done
        finally:
            self._done = None

    @property
    def has_begun(self) -> bool:
        """Whether any byte of the last response came."""
        return self._reader is not None and self._reader.has_begun

    def abort(self) -> None:
        """Let go of the connection at once: what is not sent is dropped, nobody is waited for."""
        self.can_be_kept = False
        if self.transport is not None:
            self.transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None or reader.response is not None:
            self.abort()  # nobody asked: it would be taken for the response to the next request
            return
        try:
            reader.feed(data)
        except WireFault as fault:
            self._settle(fault)
            return
        if reader.response is not None:
            self._settle(reader.response)
            if reader.is_clean:
                self.can_be_kept = True
            else:
                self.abort()

    def eof_received(self) -> bool:
        self._ended(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)

    def _ended(self, error: Exception | None) -> None:
        self.can_be_kept = False
        if self._reader is None or self._done is None:
            return
        if error is not None:
            self._settle(error)
            return
        try:
            self._reader.end()
        except WireFault as fault:
            self._settle(fault)
            return
        assert self._reader.response is not None
        self._settle(self._reader.response)

    def _settle(self, result: HttpResponse | Exception) -> None:
        if self._done is None or self._done.done():
            return
        if isinstance(result, HttpResponse):
            self._done.set_result(result)
        else:
            self._done.set_exception(result)
