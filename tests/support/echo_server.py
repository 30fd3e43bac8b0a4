"""An OpenAI-compatible server that answers each request with its own text, over a faulty line.

    python echo_server.py SHARE [KIND,...]

It prints its port. A share of the responses comes as one of `FAULTS`, or of the kinds named:
twice, too late, cut, with lengths that contradict each other, by an old protocol. Which one is
drawn from a fixed seed. What it says follows from the request alone, so that an answer that met
another request shows.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections.abc import Callable
from typing import Any

_REVISED = re.compile(r"\[\[answer:([0-9a-f]{8})\]\]\n(.*)\n\[\[answer-end:\1\]\]", re.DOTALL)
_JUDGED = re.compile(
    r"\[\[answer-a:([0-9a-f]{8})\]\]\n(.*)\n\[\[answer-a-end:\1\]\].*"
    r"\[\[answer-b:\1\]\]\n(.*)\n\[\[answer-b-end:\1\]\]",
    re.DOTALL,
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def say(body: dict[str, Any]) -> str:
    """Answer, revise or judge: whatever the request asks for."""
    text = "\n".join(turn["content"] for turn in body["messages"])
    if found := _REVISED.search(text):
        nonce, answer = found.groups()
        return (
            f"[[reasoning:{nonce}]]\nx\n[[revision:{nonce}]]\n{answer} Indeed, it is.\n"
            f"[[end:{nonce}]]"
        )
    if found := _JUDGED.search(text):
        nonce, *answers = found.groups()
        return f"So:\n[[{'A' if answers[0] > answers[1] else 'B'}:{nonce}]]"
    return f"The answer to {text.strip()} is here, by {body.get('seed')}."


def _with_length(body: bytes, difference: int = 0) -> bytes:
    return b"%sContent-Length: %d\r\n\r\n%s" % (_HEAD, len(body) + difference, body)


def _chunked(body: bytes, more: bytes = b"") -> bytes:
    middle = len(body) // 2
    chunks = b"%x;a=b\r\n%s\r\n%X\r\n%s\r\n0\r\nX-T: 1\r\n\r\n" % (
        middle,
        body[:middle],
        len(body) - middle,
        body[middle:],
    )
    return b"%s%sTransfer-Encoding: chunked\r\n\r\n%s" % (_HEAD, more, chunks)


def _twice(body: bytes) -> bytes:
    return _with_length(body) * 2


_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "chunked": _chunked,
    "twice": _twice,
    "garbage after it": lambda body: _with_length(body) + b"\r\n\r\nHTTP/1.1 200",
    "half a copy": lambda body: _chunked(body) + _with_length(body)[:99],
    "100 before it": lambda body: b"HTTP/1.1 100 Continue\r\n\r\n" + _with_length(body),
    "many 102": lambda body: b"HTTP/1.1 102 Processing\r\n\r\n" * 200 + _with_length(body),
    "an empty one before it": lambda body: b"HTTP/1.1 204 No Content\r\n\r\n" + _with_length(body),
    "304 with a body": lambda body: _with_length(body).replace(b"200 OK", b"304 Not Modified"),
    "HTTP/1.0": lambda body: _with_length(body).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no length": lambda body: _HEAD + b"\r\n" + body,
    "length too short": lambda body: _with_length(body, -3),
    "length too long": lambda body: _with_length(body, 7),
    "two lengths": lambda body: _with_length(body, 1).replace(
        b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n", 1
    ),
    "length and chunks": lambda body: _chunked(body, b"Content-Length: 9\r\n"),
    "many headers": lambda body: _with_length(body).replace(
        b"Content-Type", b"X-A: b\r\n" * 300 + b"Content-Type"
    ),
    "bare line ends": lambda body: _with_length(body).replace(b"\r\n", b"\n"),
    "no gzip": lambda body: _with_length(body).replace(
        b"Content-Type", b"Content-Encoding: gzip\r\nContent-Type"
    ),
    "no HTTP": lambda body: b"220 mail.example ESMTP\r\n" + body,
}
_CLOSING = ("no length", "length too long", "HTTP/1.0")
FAULTS = (
    *_BYTES,
    "late copy",
    "reset",
    "reset within",
    "closed",
    "piece by piece",
    "kept, then closed",
    "too late",
)
_TOO_LATE = 0.5  # seconds


class _Line:
    """Reads requests and writes responses, on whichever connections there are."""

    def __init__(self, share: float, kinds: tuple[str, ...]) -> None:
        self._chance = random.Random(3)
        self._share = share
        self._kinds = kinds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: *(\d+)", head)
        assert size is not None
        body = json.loads(await reader.readexactly(int(size[1])))
        message = {"role": "assistant", "content": say(body)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        said = json.dumps({"choices": [choice], "usage": usage}).encode()
        is_good = self._chance.random() >= self._share
        kind = "" if is_good else self._chance.choice(self._kinds)
        return await self._write(writer, kind, said)

    async def _write(self, writer: asyncio.StreamWriter, kind: str, said: bytes) -> bool:
        """Write a response; False to close the connection then."""
        whole = _with_length(said)
        if kind == "closed":
            return False
        if kind == "too late":
            await asyncio.sleep(_TOO_LATE)
        if kind in ("reset", "reset within"):
            writer.write(whole[: len(whole) // 2] if kind == "reset within" else b"")
            await writer.drain()
            writer.transport.abort()
            return False
        if kind == "piece by piece":
            for start in range(0, len(whole), 40):
                writer.write(whole[start : start + 40])
                await asyncio.sleep(0)
            return True
        writer.write(_BYTES.get(kind, _with_length)(said))
        await writer.drain()
        if kind == "late copy":
            await asyncio.sleep(self._chance.choice((0, 0.0002, 0.0005, 0.001, 0.002)))
            writer.write(whole)
        return kind not in _CLOSING and kind != "kept, then closed"


async def main(share: float, kinds: tuple[str, ...]) -> None:
    line = _Line(share, kinds)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for who started it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), tuple(sys.argv[2].split(",")) if sys.argv[2:] else FAULTS))
