"""The proxy of a URL, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` have it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from clairkit.errors import UsageError


@dataclass(frozen=True)
class Proxy:
    """A proxy's address, and the header value that it wants to see."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


def find_proxy(url: SplitResult) -> Proxy | None:
    """Return the proxy for a URL; None when there is none.

    Raises:
        UsageError: it is not an `http://` proxy.
    """
    proxies = getproxies_environment()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass(url.netloc):
        return None
    parts = _split(address if "://" in address else f"http://{address}")
    if parts is None:
        # The address is not shown: it may hold a password.
        raise UsageError(
            f"the proxy for {url.scheme} addresses is no http:// address",
            remedy=f"set {url.scheme.upper()}_PROXY=http://HOST:PORT, or unset it",
        )
    user = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        user = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname or "", parts.port or 80, user)


def _split(address: str) -> SplitResult | None:
    """The parts of a proxy's address; None when it is none that can be used."""
    try:
        parts = urlsplit(address)
        is_place = parts.port != 0 and bool(parts.hostname and parts.hostname.encode("idna"))
    except ValueError:
        return None
    return parts if is_place and parts.scheme == "http" else None
