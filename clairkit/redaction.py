"""Remove secrets from text, in whatever form they stand there.

What is secret: the values of environment variables whose names say so, passwords and keys in the
addresses that the environment holds, and what has the shape of a key. A known secret is found as
it is and in base64 or hexadecimal, also as a part of a longer text in base64; each of its
characters as a URL, JSON, HTML or Python spells it; and broken over lines.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from html.entities import codepoint2name
from urllib.parse import unquote

REDACTED = "[redacted]"
SHORTEST = 6
"""A shorter value would blank ordinary words."""

_CHUNK = 128  # characters; of a longer secret, each part is one
_NAME = re.compile(
    r"(?:(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?|_(?:PASS|PASSPHRASE|PAT|AUTH))_?\d*$",
    re.IGNORECASE,
)
_USER = re.compile(r"(?:://|^)([^/\s:@]*)(?::([^/\s]+))?@")  # of an address, as in HTTPS_PROXY
_QUERY = r"(?:[\w-]*(?:key|token|secret|password|signature|credential)|sig)="
_IN_QUERY = re.compile(rf"(?i)[?&;]{_QUERY}([^&#\s]+)")
_TOKEN_LENGTH = 16  # from which on a user without a password is taken for a token

_SHAPES = (
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]{6,}"),
    re.compile(r"(?i)(authorization[\"']?[ \t]*[:=][ \t]*[\"']?(?:basic |token )?)[^\s\"',;]{6,}"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s]+(?=@)"),
    # the first look behind is there for speed: it fails at once nearly everywhere
    re.compile(r"(?i)(?<==)(?:(?<=api_key=)|(?<=api-key=)|(?<=access_token=))[^&\s]+"),
    re.compile(rf"(?i)([?&]{_QUERY})[^&#\s\"'<>]{{6,}}"),
)
_KEY_SHAPE = re.compile(r"\b(?:sk|hf|gsk|xai)[-_][A-Za-z0-9_-]{16,}")
_KEY_MARKS = tuple(name + end for name in ("sk", "hf", "xai") for end in "-_")

_BREAK = r"[ \t]*(?:[\r\n\x0b\x0c]|\\[rn]|\\x0[a-d]|<br ?/?>)+[ \t]*"
_BREAKS = re.compile(_BREAK)


def redact(text: str) -> str:
    """Return `text` without the secrets of the environment and of well-known shapes."""
    text = _remove(text, known_secrets())
    for shape in _SHAPES:
        text = shape.sub(lambda found: f"{found[1] if found.lastindex else ''}{REDACTED}", text)
    if any(mark in text for mark in _KEY_MARKS):  # far cheaper than the pattern
        text = _KEY_SHAPE.sub(REDACTED, text)
    return text


def holds(text: str, secrets: Iterable[str]) -> bool:
    """Whether one of these secrets stands in a text, in any form."""
    return _remove(text, frozenset(secrets)) != text


def known_secrets() -> frozenset[str]:
    """Return the secrets of the environment."""
    values: set[str] = set()
    for name, value in os.environ.items():
        if _NAME.search(name):
            values.add(value)
        if "://" in value or name.lower().endswith("_proxy"):
            values.update(_in_address(value))
    return frozenset(value for value in values if len(value) >= SHORTEST)


def _in_address(address: str) -> Iterable[str]:
    """The password, or the token in its place, and the keys in the query of an address."""
    for user, password in _USER.findall(address):
        secret = password or (user if len(user) >= _TOKEN_LENGTH else "")
        yield from (secret, unquote(secret))
    for secret in _IN_QUERY.findall(address):
        yield from (secret, unquote(secret))


@dataclass(frozen=True)
class _Form:
    """One way to write a secret.

    Attributes:
        core: letters and digits of it that every spelling has, in lower case: found at once.
        pattern: finds all spellings.
    """

    core: str
    pattern: re.Pattern[str]


def _remove(text: str, secrets: frozenset[str]) -> str:
    forms = _forms(secrets)
    if not forms:
        return text
    lowered = text.lower()
    whole = _BREAKS.sub("", lowered)
    for form in forms:
        if form.core in whole or form.core in lowered:
            text = form.pattern.sub(REDACTED, text)
    return text


@lru_cache(maxsize=8)
def _forms(secrets: frozenset[str]) -> tuple[_Form, ...]:
    parts = {
        secret[start : start + _CHUNK]
        for secret in secrets
        for start in range(0, len(secret), _CHUNK)
    }
    written = {form for part in parts if len(part) >= SHORTEST for form in _written(part)}
    ordered = sorted(written, key=len, reverse=True)  # one may hold another
    gap = f"(?:{_BREAK})?"
    return tuple(
        _Form(
            max(re.findall(r"[a-z0-9]*", form.lower(), re.ASCII), key=len),
            re.compile(gap.join(map(_spellings, form)), re.IGNORECASE),
        )
        for form in ordered
    )


def _written(secret: str) -> Iterable[str]:
    """A secret as it is, in hexadecimal, and what base64 makes of it wherever it begins."""
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield data.hex()
    for before, cut in enumerate((0, 2, 3)):  # characters that hold bits of what stands before
        encoded = base64.b64encode(bytes(before) + data).rstrip(b"=").decode()
        part = encoded[cut : len(encoded) - bool((before + len(data)) % 3)]
        if len(part) >= SHORTEST:
            yield part
            yield part.replace("+", "-").replace("/", "_")


def _spellings(character: str) -> str:
    """A pattern for one character as URLs, JSON, HTML, Python and mail spell it."""
    if character.isascii() and character.isalnum():
        return character
    code, data = ord(character), character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    spelt = [
        rf"\\*{re.escape(character)}",
        "".join(rf"%(?:25)*{byte:02x}" for byte in data),
        "".join(rf"={byte:02x}" for byte in data),
        "".join(rf"\\+x{byte:02x}" for byte in data),
        "".join(rf"\\+u{units[start : start + 4]}" for start in range(0, len(units), 4)),
        rf"\\+x{code:02x}",
        rf"&(?:amp;)*#0*{code};",
        rf"&(?:amp;)*#x0*{code:x};",
    ]
    if code in codepoint2name:
        spelt.append(f"&(?:amp;)*{codepoint2name[code]};")
    if character == " ":
        spelt.append(r"\+")
    return f"(?:{'|'.join(spelt)})"
