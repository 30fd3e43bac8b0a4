"""Where an OpenAI-compatible server is, and the key for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from clairkit.errors import RemoteError, UsageError

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_URL = "https://api.openai.com/v1"
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True)
class Endpoint:
    """A server's base URL, and the key that is sent to it and to nobody else."""

    base_url: str
    key: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_loopback(self) -> bool:
        return self.host in _LOOPBACK

    @property
    def is_openai(self) -> bool:
        return self.host == "api.openai.com"


def find_endpoint(base_url: str | None = None) -> Endpoint:
    """Return the endpoint by argument, `OPENAI_BASE_URL` or default, with `OPENAI_API_KEY`.

    Raises:
        UsageError: the URL is none, or holds credentials.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    given = base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    endpoint = Endpoint(_checked(given), _key())
    if endpoint.is_openai and endpoint.key is None:
        raise RemoteError(
            f"{KEY_VARIABLE} is not set",
            remedy=f"set it, or name another server with --base-url or {URL_VARIABLE}",
        )
    return endpoint


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        # The URL is not shown: it may hold a password.
        raise UsageError("the base URL is no http or https address",
                         remedy="write it as http://127.0.0.1:8000/v1")  # fmt: skip
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            "the base URL may hold no credentials, query or fragment",
            received=f"{parts.scheme}://…@{host}/…",
            remedy=f"put the key into {KEY_VARIABLE}",
        )
    return url.strip().rstrip("/")


def _key() -> str | None:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"{KEY_VARIABLE} holds characters that no header can carry",
                         remedy="copy the key again")  # fmt: skip
    return key or None
