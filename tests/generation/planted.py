"""Secrets that tests plant, what a careless server makes of them, and where to look for them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from fake_server import Request, Response, Script, as_json, completion, error

KEY = "Planted+Key/4711"  # in the environment; sent as a header
PASSWORD = "planted-password"  # in URLs
SECRETS = (KEY, PASSWORD, quote(KEY, safe=""), json.dumps(KEY)[1:-1])
SEEN = "as the server put it"  # stands beside each echo: shows that the text got that far


def held(text: str) -> list[str]:
    """The secrets that stand in a text, in whatever case."""
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


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
    "a refusal": lambda request: completion(None, refusal=echo(request)),
    "HTML": lambda request: Response(200, echo(request).encode(), {"Content-Type": "text/html"}),
    "a content type": in_header("Content-Type"),
    "a content encoding": in_header("Content-Encoding"),
    "a redirect": in_header("Location", 307),
    "another header": in_header("X-Echo"),
    "no HTTP": lambda request: Response(200, b"", {"Content-Length": echo(request)}),
}
