"""Find the proxy of a URL, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` have it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment

from clairkit.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_HOST_AND_PORT = re.compile(r"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")


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
