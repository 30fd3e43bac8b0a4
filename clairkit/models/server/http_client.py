"""Post to one server through aiohttp: a connection a request, bounded bodies, nothing followed.

A connection serves one request and is closed then. So what a server, or a proxy before it, sends
twice or too late is never taken for the response to another request. That costs 0.2 ms of
processor time a request, and 1.2 to 1.8 ms for the handshake with TLS (docs/log.md).
"""

from __future__ import annotations

import base64
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment

import aiohttp

from clairkit.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_HOST_AND_PORT = re.compile(r"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Proxy:
    """A proxy's address, and the header value that it wants to see."""

    url: str
    authorization: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)


def find_proxy(url: SplitResult) -> Proxy | None:
    """Return the proxy for a URL; None when there is none.

    Raises:
        UsageError: it is not an `http://` or `https://` proxy.
    """
    proxies = getproxies_environment()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or _is_excepted(url, proxies.get("no", "")):
        return None
    parts = _split(address if "://" in address else f"http://{address}")
    if parts is None:
        # The address is not shown: it may hold a password.
        raise UsageError(
            f"the proxy for {url.scheme} addresses is not an http:// or https:// address",
            remedy=f"set {url.scheme.upper()}_PROXY=http://HOST:PORT, or unset it",
        )
    authorization, password = None, unquote(parts.password or "")
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{password}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return Proxy(f"{parts.scheme}://{host}:{_port(parts)}", authorization, password)


def _split(address: str) -> SplitResult | None:
    """The parts of a proxy's address; None when it is none that can be used."""
    try:
        parts = urlsplit(address)
        is_place = parts.port != 0 and bool(parts.hostname and parts.hostname.encode("idna"))
    except ValueError:
        return None
    return parts if is_place and parts.scheme in _PORTS else None


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _is_excepted(url: SplitResult, exceptions: str) -> bool:
    """Whether `NO_PROXY` names a URL's host.

    Its entries are names, which stand for the names below them, too, addresses, networks
    (`10.0.0.0/8`) and patterns with `*`. A port after it (`[::1]:8000`) narrows an entry.
    """
    host = (url.hostname or "").rstrip(".")
    return any(
        _names(entry, host, _port(url))
        for entry in re.split(r"[,\s]+", exceptions.lower())
        if entry
    )


def _names(entry: str, host: str, port: int) -> bool:
    """Whether an entry of `NO_PROXY` stands for a host and port."""
    address = _address(host)
    if address is not None and "*" not in entry:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            pass
    found = _HOST_AND_PORT.fullmatch(entry)
    if found is None or (found["port"] and int(found["port"]) != port):
        return False
    name = (found["address"] or found["name"] or "").rstrip(".")
    if address is not None and "*" not in name:
        return address == _address(name)
    if "*" in name:
        return fnmatchcase(host, name)
    name = name.lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address


class HttpFault(Exception):
    """The connection failed, or what came over it is not HTTP."""


@dataclass(frozen=True)
class HttpResponse:
    """What a server said; `content` is None when it was longer than allowed."""

    status: int
    headers: Mapping[str, str]
    """By name, in whatever case."""
    content: bytes | None


class HttpClient:
    """Posts to one server.

    Args:
        base_url: its address, checked by `clairkit.models.server.endpoint`.
        headers: sent with each request, and to nobody but this server.
        query: follows each path, behind a question mark; empty is none.
        body_cap: the most bytes of a response that are read.
        use_proxy: whether the proxy variables of the environment count.

    Raises:
        UsageError: the environment's proxy is not one that can be used.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        query: str = "",
        body_cap: int,
        use_proxy: bool,
    ) -> None:
        url = urlsplit(base_url)
        self._base_url = base_url
        self._query = f"?{query}" if query else ""
        self._headers = headers
        self._cap = body_cap
        self._proxy = find_proxy(url) if use_proxy else None
        self._tls: ssl.SSLContext | bool = True
        if url.scheme == "https" or (self._proxy and self._proxy.url.startswith("https:")):
            self._tls = _tls_context()
        self._to_proxy: dict[str, str] = {}
        if self._proxy is not None and self._proxy.authorization is not None:
            self._to_proxy = {"Proxy-Authorization": self._proxy.authorization}
        if url.scheme == "http":  # there is no tunnel: the proxy reads the request itself
            self._headers, self._to_proxy = {**headers, **self._to_proxy}, {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def proxy_password(self) -> str:
        """What the proxy is sent; empty when there is none."""
        return "" if self._proxy is None else self._proxy.password

    async def post(self, path: str, content: bytes) -> HttpResponse:
        """Send `content` to a path below the base URL, once, and return what comes back.

        Raises:
            HttpFault: there was no whole response.
        """
        session = self._open()
        try:
            async with session.post(
                f"{self._base_url}{path}{self._query}",
                data=BytesIO(content),
                headers=self._headers,  # those of a session would go to the proxy, too
                allow_redirects=False,
                proxy=None if self._proxy is None else self._proxy.url,
                proxy_headers=self._to_proxy,
            ) as response:
                try:
                    if response.status < 200:
                        raise HttpFault("the server switches to another protocol")
                    return HttpResponse(
                        response.status, response.headers, await self._body(response)
                    )
                finally:
                    response.close()  # what is not read by now is not waited for
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HttpFault(_told(error)) from None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Return the session; it belongs to the loop that runs."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                auto_decompress=False,  # a small body may unpack to any size
            )
        return self._session

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        if (response.content_length or 0) > self._cap:
            return None
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > self._cap:
                return None
            pieces.append(piece)
        return b"".join(pieces)


def _told(error: Exception) -> str:
    """What went wrong, in few words; aiohttp's own may hold addresses and lines of a response."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused to connect ({error.status})"
        case aiohttp.ClientResponseError():
            return f"no HTTP response: {error.message.strip().partition(chr(10))[0]}"
        case aiohttp.ServerTimeoutError():
            return f"no connection within {_CONNECT_SECONDS:g} s"
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy: {error.os_error}"
        case aiohttp.ClientConnectorCertificateError():
            return f"no connection: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.os_error}"
        case aiohttp.ClientPayloadError():
            return "the connection was closed within the response"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed"
        case _:
            return f"{type(error).__name__}: {error}"


def _tls_context() -> ssl.SSLContext:
    """Trust what the environment names, else the authorities that Mozilla lists."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
