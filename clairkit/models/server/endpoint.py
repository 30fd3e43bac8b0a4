"""Find where an OpenAI-compatible server is, and the key for it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from clairkit.errors import RemoteError, UsageError

KEY_VARIABLE = "OPENAI_API_KEY"
KEY_VARIABLES = {"target": "TARGET_API_KEY", "reviser": "REVISER_API_KEY", "judge": "JUDGE_API_KEY"}
URL_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_URL = "https://api.openai.com/v1"
_QUERY = re.compile(r"api-version=[\w.-]+")


@dataclass(frozen=True)
class Endpoint:
    """A server's base URL, and the key that is sent to it and to nobody else."""

    base_url: str
    key: str | None = field(default=None, repr=False)
    key_variable: str = KEY_VARIABLE
    """Where the key came from, or is to be put."""
    query: str = ""
    """What follows the path of each request: Azure's `api-version=…`."""

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine."""
        host = self.host.rstrip(".")
        try:
            address = ip_address(host)
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")
        return address.is_loopback or address.is_unspecified

    @property
    def is_openai(self) -> bool:
        host = self.host.rstrip(".")
        return host == "api.openai.com" or host.endswith(".api.openai.com")

    @property
    def is_azure(self) -> bool:
        """Whether the key goes into a header of its own, as Azure's dated interface has it."""
        return "api-version=" in self.query


def find_endpoint(
    base_url: str | None = None, role: str | None = None, *, needs_key: bool = True
) -> Endpoint:
    """Return the endpoint of a role.

    Args:
        base_url: its address; else `OPENAI_BASE_URL`, else OpenAI's own.
        role: `target`, `reviser` or `judge`: its key is in `TARGET_API_KEY`, …, else in
            `OPENAI_API_KEY`.
        needs_key: whether requests will be made.

    Raises:
        UsageError: the URL is not valid, or holds credentials.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    given = base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    variable = key_variable(role)
    url, _, query = _checked(given).partition("?")
    endpoint = Endpoint(url.rstrip("/"), _key(variable), variable, query)
    if needs_key and endpoint.is_openai and endpoint.key is None:
        raise RemoteError(
            f"{variable} is not set",
            remedy=f"set it, or name another server with --base-url or {URL_VARIABLE}",
        )
    return endpoint


def key_variable(role: str | None) -> str:
    """Return the variable that holds a role's key: its own if it is set, else the common one."""
    own = KEY_VARIABLES.get(role or "", KEY_VARIABLE)
    return own if os.environ.get(own, "").strip() else KEY_VARIABLE


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
        # What DNS can't hold is not a host: the resolver would say so with another kind of error.
        is_place = port != 0 and bool(host and host.encode("idna"))
    except ValueError:
        is_place = False
    is_sendable = url.isascii() and url.strip().isprintable() and " " not in url.strip()
    if not is_place or not is_sendable or parts.scheme not in ("http", "https"):
        # The URL is not shown: it may hold a password.
        raise UsageError(
            "the base URL is not an http or https address",
            remedy="write it as http://127.0.0.1:8000/v1",
        )
    is_plain = not parts.query or _QUERY.fullmatch(parts.query)
    if "@" in parts.netloc or not is_plain or parts.fragment:
        raise UsageError(
            "the base URL may hold no credentials, no fragment and no query but api-version=",
            received=f"{parts.scheme}://…@{host}/…",
            remedy=f"put the key into {KEY_VARIABLE}",
        )
    return url.strip()


def _key(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable():
        raise UsageError(
            f"{variable} holds characters that no header can carry", remedy="copy the key again"
        )
    return key or None
