"""HTTP/1.1 for one server: kept connections, bounded bodies, nothing followed, nothing unpacked.

On h11 and asyncio's streams: a general client takes about 1 ms of processor time a request, which
is more than everything else that is done for a row.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from clairkit.generation.http_proxy import Proxy, find_proxy

_CHUNK = 2**16
_CONNECT_SECONDS = 10.0


class HttpFault(Exception):
    """The connection failed, or what came over it is no HTTP."""


@dataclass(frozen=True)
class HttpResponse:
    """What a server said; `content` is None when it was longer than allowed."""

    status: int
    headers: Mapping[str, str]
    content: bytes | None


class HttpClient:
    """Posts to one server.

    Args:
        base_url: its address; paths are appended to it.
        headers: sent with each request, and to nobody but this server.
        body_cap: the most bytes of a response that are read.
        use_proxy: whether the proxy variables of the environment count.

    Raises:
        UsageError: the environment's proxy is none that can be used.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, body_cap: int, use_proxy: bool
    ) -> None:
        url = urlsplit(base_url)
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._proxy = find_proxy(url) if use_proxy else None
        self._tls = _tls_context() if url.scheme == "https" else None
        self._path = url.path
        self._origin = f"{url.scheme}://{url.netloc}"
        self._headers = [("Host", url.netloc), *headers.items()]
        if self._tls is None and self._proxy is not None and self._proxy.authorization is not None:
            self._headers.append(("Proxy-Authorization", self._proxy.authorization))
        self._cap = body_cap
        self._idle: list[_Connection] = []
        self._requests: dict[str, h11.Request] = {}  # checking its headers takes the longest

    async def post(self, path: str, content: bytes) -> HttpResponse:
        """Send `content` to a path below the base URL and return what comes back.

        Raises:
            HttpFault: there was no whole response.
        """
        request = self._request(path)
        connection = await self._connection()
        is_done = False
        try:
            response = await connection.exchange(request, content, self._cap)
            is_done = True
        except (OSError, h11.ProtocolError, asyncio.IncompleteReadError) as error:
            raise HttpFault(f"{type(error).__name__}: {error}") from None
        finally:
            if is_done and connection.can_be_kept():
                self._idle.append(connection)
            else:
                connection.close()
        return response

    async def close(self) -> None:
        """Let go of the connections."""
        while self._idle:
            await self._idle.pop().closed()

    def _request(self, path: str) -> h11.Request:
        if path not in self._requests:
            prefix = self._origin if self._proxy and self._tls is None else ""
            self._requests[path] = h11.Request(
                method="POST", target=f"{prefix}{self._path}{path}", headers=self._headers
            )
        return self._requests[path]

    async def _connection(self) -> _Connection:
        while self._idle:
            kept = self._idle.pop()
            if kept.is_alive():
                return kept
            kept.close()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await self._connect()
        except TimeoutError:
            raise HttpFault(f"no connection within {_CONNECT_SECONDS:g} s") from None
        except (OSError, h11.ProtocolError) as error:
            raise HttpFault(f"no connection: {type(error).__name__}: {error}") from None

    async def _connect(self) -> _Connection:
        proxy = self._proxy
        if proxy is None:
            return _Connection(
                *await asyncio.open_connection(self._host, self._port, ssl=self._tls)
            )
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        if self._tls is not None:
            await self._tunnel(reader, writer, proxy)
            await writer.start_tls(self._tls, server_hostname=self._host)
        return _Connection(reader, writer)

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy
    ) -> None:
        """Have the proxy pass everything on to the server."""
        place = f"{self._host}:{self._port}"
        headers = [("Host", place)]
        if proxy.authorization is not None:
            headers.append(("Proxy-Authorization", proxy.authorization))
        http = h11.Connection(h11.CLIENT)
        request = h11.Request(method="CONNECT", target=place, headers=headers)
        writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(_CHUNK))
        if not isinstance(event, h11.Response) or event.status_code != 200:
            status = getattr(event, "status_code", "nothing")
            writer.close()
            raise HttpFault(f"the proxy refused to connect ({status})")


class _Connection:
    """One connection, for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def exchange(self, request: h11.Request, content: bytes, cap: int) -> HttpResponse:
        """Send a request and return its response, its body up to `cap` bytes.

        h11 is told of a request without body, which is the same one each time; the body and its
        length are added here. To the response it makes no difference.
        """
        http = self._http
        start = (http.send(request) or b"").removesuffix(b"\r\n")
        http.send(h11.EndOfMessage())
        self._writer.write(b"%sContent-Length: %d\r\n\r\n%s" % (start, len(content), content))
        head: h11.Response | None = None
        pieces: list[bytes] = []
        size = 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self._reader.read(_CHUNK))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > cap:
                    return _response(head, None)
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return _response(head, b"".join(pieces))
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection was closed")

    def can_be_kept(self) -> bool:
        """Make ready for another request; False when the connection is of no more use."""
        try:
            self._http.start_next_cycle()
        except h11.ProtocolError:
            return False
        return True

    def is_alive(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()

    async def closed(self) -> None:
        self._writer.close()
        with suppress(OSError, ssl.SSLError):
            await self._writer.wait_closed()


def _response(head: h11.Response | None, content: bytes | None) -> HttpResponse:
    if head is None:
        raise h11.RemoteProtocolError("a body without a head")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    return HttpResponse(head.status_code, headers, content)


def _tls_context() -> ssl.SSLContext:
    """Trust what the environment names, else the authorities that Mozilla lists."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
