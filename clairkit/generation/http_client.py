"""HTTP/1.1 for one server: kept connections, bounded bodies, nothing followed, nothing unpacked.

On asyncio's transports: a general client takes about 1 ms of processor time a request, which is
more than everything else that is done for a row.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from clairkit.generation.http_proxy import Proxy, find_proxy
from clairkit.generation.http_reader import HttpResponse, WireFault
from clairkit.generation.http_wire import Connection

__all__ = ["HttpClient", "HttpFault", "HttpResponse", "StaleConnection"]

_CONNECT_SECONDS = 10.0
_HEAD_START = 0.25  # seconds of a host's first address before its next one is tried, too


class HttpFault(Exception):
    """The connection failed, or what came over it is no HTTP."""


class StaleConnection(HttpFault):
    """A kept connection was closed without a byte of a response: another may do at once."""


class HttpClient:
    """Posts to one server.

    Args:
        base_url: its address, checked by `clairkit.generation.endpoint`; paths are appended to it.
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
        fields = {"Host": url.netloc, **headers}
        target = url.path
        if self._proxy is not None and self._tls is None:
            target = f"{url.scheme}://{url.netloc}{url.path}"
            fields |= _authorization(self._proxy)
        self._target = target
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._cap = body_cap
        self._idle: list[Connection] = []

    async def post(self, path: str, content: bytes, *, is_fresh: bool = False) -> HttpResponse:
        """Send `content` to a path below the base URL and return what comes back.

        Args:
            path: the path.
            content: the body.
            is_fresh: make a new connection even if one is kept.

        Raises:
            StaleConnection: a kept connection was closed, maybe just when it was used again.
            HttpFault: there was no whole response.
        """
        head = f"POST {self._target}{path} HTTP/1.1\r\n{self._fields}"
        request = b"%sContent-Length: %d\r\n\r\n%s" % (head.encode(), len(content), content)
        kept = None if is_fresh else self._kept()
        connection = kept or await self._connect_in_time()
        try:
            return await self._exchange(connection, request)
        except (OSError, WireFault) as error:
            name = "" if isinstance(error, WireFault) else f"{type(error).__name__}: "
            is_stale = kept is not None and not connection.has_begun
            raise (StaleConnection if is_stale else HttpFault)(f"{name}{error}") from None

    async def close(self) -> None:
        """Let go of the connections."""
        while self._idle:
            self._idle.pop().abort()

    def _kept(self) -> Connection | None:
        while self._idle:
            kept = self._idle.pop()
            if kept.can_be_kept:
                return kept
        return None

    async def _exchange(self, connection: Connection, request: bytes) -> HttpResponse:
        try:
            return await connection.exchange(request, self._cap)
        finally:
            if connection.can_be_kept:
                self._idle.append(connection)
            else:
                connection.abort()

    async def _connect_in_time(self) -> Connection:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await self._connect()
        except TimeoutError:
            raise HttpFault(f"no connection within {_CONNECT_SECONDS:g} s") from None
        except (OSError, WireFault, UnicodeError) as error:  # a name that DNS can't have
            raise HttpFault(f"no connection: {type(error).__name__}: {error}") from None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        proxy = self._proxy
        if proxy is None:
            _, connection = await loop.create_connection(
                Connection, self._host, self._port, ssl=self._tls, happy_eyeballs_delay=_HEAD_START
            )
            return connection
        _, connection = await loop.create_connection(
            Connection, proxy.host, proxy.port, happy_eyeballs_delay=_HEAD_START
        )
        if self._tls is None:
            return connection
        try:
            await self._tunnel(connection, proxy)
            assert connection.transport is not None
            connection.transport = await loop.start_tls(
                connection.transport, connection, self._tls, server_hostname=self._host
            )
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _tunnel(self, connection: Connection, proxy: Proxy) -> None:
        """Have the proxy pass everything on to the server."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        fields = {"Host": f"{host}:{self._port}", **_authorization(proxy)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"CONNECT {host}:{self._port} HTTP/1.1\r\n{lines}\r\n".encode()
        response = await connection.exchange(request, self._cap, has_body=False)
        if not 200 <= response.status < 300:
            raise HttpFault(f"the proxy refused to connect ({response.status})")
        if connection.transport is None or connection.transport.is_closing():
            raise HttpFault("the proxy closed the connection")


def _authorization(proxy: Proxy) -> dict[str, str]:
    return {} if proxy.authorization is None else {"Proxy-Authorization": proxy.authorization}


def _tls_context() -> ssl.SSLContext:
    """Trust what the environment names, else the authorities that Mozilla lists."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
