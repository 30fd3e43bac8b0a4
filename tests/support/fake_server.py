"""An OpenAI-compatible server on loopback whose faults are scripted, for tests."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MARK = re.compile(r"\[\[answer:([0-9a-f]{8})\]\]\n(.*)\n\[\[answer-end:\1\]\]", re.DOTALL)


@dataclass(frozen=True)
class Response:
    """What the server sends. `reset` cuts the connection within the body, `stall` waits there."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    stall: float = 0.0
    repeat: int = 1


def completion(text: str | None, finish: str = "stop", **message: Any) -> Response:
    """A chat completion that says `text`."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": finish,
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    return as_json({"object": "chat.completion", "choices": [choice], "usage": usage})


def as_json(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(status, json.dumps(value).encode(), headers)


def error(status: int, code: str | int = "", message: str = "no", **headers: str) -> Response:
    return as_json({"error": {"message": message, "code": code}}, status, **headers)


def answer_in(request: Request) -> tuple[str, str]:
    """The nonce and the answer that stand in a revision request."""
    found = MARK.search("\n".join(turn["content"] for turn in request.body["messages"]))
    assert found is not None
    return found[1], found[2]


def revise(request: Request, change: Callable[[str], str] = str.upper) -> Response:
    """A good reply to the `clair` template."""
    nonce, answer = answer_in(request)
    return completion(
        f"[[reasoning:{nonce}]]\nlouder\n[[revision:{nonce}]]\n{change(answer)}\n[[end:{nonce}]]"
    )


@dataclass(frozen=True)
class Request:
    """What the server got: its number from 1, the path, the headers, the body."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Script = Callable[[Request], Response]


class FakeServer:
    """Answers by a script and remembers the requests."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self.script = script
        self.running = 0
        self.stalling = 0
        self.peak = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> Response:
        with self._lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
            request = Request(len(self.requests) + 1, path, headers, json.loads(body))
            self.requests.append(request)
        try:
            return self.script(request)
        finally:
            with self._lock:
                self.running -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._send(server._answer(self.path, headers, body))

            def _send(self, response: Response) -> None:
                self.send_response(response.status)
                headers = {"Content-Type": "application/json", **response.headers}
                size = len(response.body) * response.repeat
                headers.setdefault("Content-Length", str(size + bool(response.reset)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                try:
                    for _ in range(response.repeat):
                        self.wfile.write(response.body)
                    self.wfile.flush()
                    server.stalling += bool(response.stall)
                    time.sleep(response.stall)
                    server.stalling -= bool(response.stall)
                except OSError:
                    self.close_connection = True
                if response.reset:
                    linger = struct.pack("ii", 1, 0)  # closing sends RST
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        return Handler


@contextmanager
def serving(script: Script) -> Iterator[FakeServer]:
    server = FakeServer(script)
    try:
        yield server
    finally:
        server.close()
