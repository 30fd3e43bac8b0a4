"""Secrets that tests plant, what a careless server makes of them, and where to look for them."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from fake_server import Request, Response, Script, as_json, completion, error

KEY = "Planted+Key/4711'\"<&>~"  # in the environment; sent as a header
PASSWORD = "planted+pass/wörd"  # in URLs
SECRETS = (KEY, PASSWORD)
SEEN = "as the server put it"  # stands beside each echo: shows that the text got that far
_RUN = re.compile(r"[A-Za-z0-9+/_-]{8,}")


def held(text: str) -> list[str]:
    """The secrets that anyone can read out of a text, in whatever case and form."""
    readings = [text, re.sub(r"\s|\\x0a|\\r|\\n", "", text)]
    for decode in (html.unescape, unquote, unquote_plus, _unescape, _quoted, _as_bytes):
        readings += [decode(reading) for reading in readings]
    lowered = "\n".join(set(readings)).lower()
    found = [secret for secret in SECRETS if secret.lower() in lowered]
    bare = {run for reading in set(readings) for run in _RUN.findall(reading)}
    decoded = b"\n".join(_decode(run) for run in bare)
    return found + [secret for secret in SECRETS if secret.encode() in decoded]


def _unescape(text: str) -> str:
    pattern = r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))"
    spelt = re.sub(pattern, lambda found: chr(int(found[1] or found[2], 16)), text)
    return re.sub(r"\\+(.)", r"\1", spelt)


def _as_bytes(text: str) -> str:
    return text.encode("latin-1", "ignore").decode("utf-8", "ignore")


def _quoted(text: str) -> str:
    return quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _decode(run: str) -> bytes:
    """What a run of letters may be in base64, beginning at each of four characters, or in hex."""
    plain = run.replace("-", "+").replace("_", "/")
    parts = [plain[start:] for start in range(4)]
    found = [base64.b64decode(part + "A" * (-len(part) % 4)) for part in parts]
    for start in (0, 1):
        digits = re.match("(?:[0-9a-fA-F]{2})*", run[start:])
        assert digits is not None
        found.append(bytes.fromhex(digits[0]))
    return b"\n".join(found)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "for a URL": lambda secret: quote(secret, safe=""),
    "for a form": quote_plus,
    "for a URL, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "in JSON": json.dumps,
    "in JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "in JSON with slashes": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "in HTML": html.escape,
    "in HTML, by numbers": lambda secret: "".join(
        c if c.isascii() and c.isalnum() else f"&#{ord(c)};" for c in secret
    ),
    "in Python": lambda secret: repr(secret.encode()),
    "in a mail": lambda secret: quopri.encodestring(secret.encode()).decode(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 of a pair": lambda secret: base64.b64encode(f"ann:{secret}".encode()).decode(),
    "base64 of another pair": lambda secret: base64.b64encode(f"bob:{secret}\n".encode()).decode(),
    "base64 of a header": lambda secret: base64.b64encode(f"X: {secret}\r\n".encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"a:{secret}".encode()).decode(),
    "base64 in a URL": lambda secret: quote(base64.b64encode(secret.encode()).decode(), safe=""),
    "base64 in lines": lambda secret: "\n ".join(
        base64.b64encode(f"ann:{secret}".encode()).decode()[start : start + 8]
        for start in range(0, 80, 8)
    ),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "in two lines": lambda secret: f"{secret[:6]}\n    {secret[6:]}",
    "in two lines of JSON": lambda secret: json.dumps(f"{secret[:6]}\r\n{secret[6:]}"),
}


def files_text(folder: Path) -> str:
    """All that stands in the files of a folder, bytes as they are."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in paths)


def echo(request: Request) -> str:
    """What a careless server says: the header that it got, as text, as a URL, in lower case."""
    sent = request.headers["authorization"]
    return f"{SEEN}: {sent}; {sent.lower()}; /v1?key={quote(sent.split()[1], safe='')}"


def in_header(name: str, status: int = 200) -> Script:
    def script(request: Request) -> Response:
        return Response(status, b"<html>", {"Content-Type": "text/html", name: echo(request)})

    return script


ECHOES: dict[str, Script] = {
    "400": lambda request: error(400, message=echo(request)),
    "400 as text": lambda request: Response(400, echo(request).encode()),
    "400 as the code": lambda request: error(400, code=echo(request), message=""),
    "400 deep in an object": lambda request: as_json({"error": {"x": [echo(request)]}}, 400),
    "401": lambda request: error(401, message=echo(request)),
    "404": lambda request: error(404, message=echo(request)),
    "422": lambda request: error(422, message=echo(request)),
    "quota": lambda request: error(429, "insufficient_quota", echo(request)),
    "500": lambda request: error(500, message=echo(request)),
    "503 for ever": lambda request: error(503, message=echo(request)),
    "429, an hour": lambda request: error(429, message=echo(request), Retry_After="3600"),
    "200 with an error": lambda request: as_json({"error": {"message": echo(request)}}),
    "200 with an error text": lambda request: as_json({"error": echo(request)}),
    "a choice's error": lambda request: completion("x", "error", error={"message": echo(request)}),
    "an odd end": lambda request: completion("x", echo(request)),
    "an answer": lambda request: completion(echo(request)),
    "a filtered answer": lambda request: completion(echo(request), "content_filter"),
    "a refusal": lambda request: completion(None, refusal=echo(request)),
    "HTML": lambda request: Response(200, echo(request).encode(), {"Content-Type": "text/html"}),
    "a content type": in_header("Content-Type"),
    "a content encoding": in_header("Content-Encoding"),
    "a redirect": in_header("Location", 307),
    "another header": in_header("X-Echo"),
    "no HTTP": lambda request: Response(200, b"", {"Content-Length": echo(request)}),
}
