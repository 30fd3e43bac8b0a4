"""HTTP/1.1 responses out of the bytes of a connection, by h11."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h11

# h11 is told what was asked, since that decides what may come back; what is sent is not its affair.
_POST = h11.Request(method="POST", target="/", headers=[("Host", "x")])
_CONNECT = h11.Request(method="CONNECT", target="x:1", headers=[("Host", "x")])


_HEAD_CAP = 2**16
"""The most bytes of a head, of trailers, or of a chunk's own line."""

_SLICE = 2**15


class WireFault(Exception):
    """What came is no HTTP response, or it ended before its end."""


@dataclass(frozen=True)
class HttpResponse:
    """What a server said; `content` is None when it was longer than allowed."""

    status: int
    headers: Mapping[str, str]
    content: bytes | None


class ResponseReader:
    """Reads the bytes of one response as they come.

    Args:
        cap: the most bytes of its body that are read.
        has_body: False for the response to a CONNECT, of which the head is all.

    Attributes:
        response: is set when the response is whole, or longer than allowed.
        has_begun: whether any byte came.
        is_clean: whether another response may follow on the connection.
    """

    def __init__(self, cap: int, *, has_body: bool = True) -> None:
        self.response: HttpResponse | None = None
        self.has_begun = False
        self.is_clean = False
        self._cap = cap
        self._has_body = has_body
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._is_ambiguous = False
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_CAP)
        self._http.send(_POST if has_body else _CONNECT)
        self._http.send(h11.EndOfMessage())

    def feed(self, data: bytes) -> None:
        """Read what came.

        Raises:
            WireFault: it is no HTTP response.
        """
        self.has_begun = True
        for start in range(0, len(data), _SLICE):  # h11 counts what is incomplete after each
            if self.response is None or start == 0:
                self._read(data[start : start + _SLICE])
            else:
                self.is_clean = False  # more came than was asked for

    def end(self) -> None:
        """The connection has ended.

        Raises:
            WireFault: the response is not whole.
        """
        if self.response is not None:
            return
        if not self.has_begun:
            raise WireFault("the connection was closed")
        fault = WireFault("the connection was closed within the response")
        try:
            self._read(b"")
        except WireFault:
            raise fault from None
        if self.response is None:
            raise fault

    def _read(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while self.response is None and self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            raise WireFault(f"no HTTP response: {error}") from None

    def _take(self, event: object) -> bool:
        """Take what h11 read; False when more bytes are needed."""
        if isinstance(event, h11.Data):
            self._size += len(event.data)
            self._body.append(bytes(event.data))
            if self._size > self._cap:
                self._finish(None)
        elif isinstance(event, h11.Response):
            self._head = event
            fields = dict(event.headers)
            length = fields.get(b"content-length")
            self._is_ambiguous = length is not None and b"transfer-encoding" in fields
            if not self._has_body:
                self._finish(b"")
                self.is_clean = not self._http.trailing_data[0]
            elif int(length or 0) > self._cap:
                self._finish(None)
        elif isinstance(event, h11.EndOfMessage):
            self._finish(b"".join(self._body))
            states = self._http.our_state, self._http.their_state
            is_whole = states == (h11.DONE, h11.DONE) and not self._is_ambiguous
            self.is_clean = is_whole and not self._http.trailing_data[0]
        elif isinstance(event, h11.InformationalResponse):
            if event.status_code == 101:
                raise WireFault("the server switches to another protocol")
        else:
            return False
        return True

    def _finish(self, content: bytes | None) -> None:
        assert self._head is not None  # h11 gives the head first
        headers: dict[str, str] = {}
        for raw, text in self._head.headers:
            name, value = raw.decode("latin-1"), text.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.response = HttpResponse(self._head.status_code, headers, content)
