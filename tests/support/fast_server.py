"""A fast OpenAI-compatible server for measurements and kill tests, in a process of its own.

    python fast_server.py LATENCY FAULTS

It prints its port. After LATENCY seconds it revises an answer to capitals, judges two answers, or
answers, as the request asks; a share FAULTS of the requests fails: 429, 500, a cut body, a reset,
each as likely. `GET /count` tells how many requests there were, `GET /stats` how often each answer
was asked to be revised. Which request fails is drawn from a fixed seed.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import zlib
from collections import Counter

_MARK = re.compile(r"\[\[answer:([0-9a-f]{8})\]\]\\n(.*?)\\n\[\[answer-end:\1\]\]")
_JUDGED = re.compile(rb"\[\[answer-a:([0-9a-f]{8})\]\]")


class _State:
    """What all connections share."""

    def __init__(self, latency: float, faults: float) -> None:
        self.latency = latency
        self.faults = faults
        self.chance = random.Random(5)
        self.asked: Counter[str] = Counter()
        self.requests = 0
        self.running = 0
        self.peak = 0


class _Connection(asyncio.Protocol):
    def __init__(self, state: _State) -> None:
        self._state = state
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        size = re.search(rb"(?i)content-length: *(\d+)", head)
        if size and len(body) < int(size[1]):
            return
        self._data = b""
        if head.startswith(b"GET"):
            stats = self._stats(with_answers=b" /stats " in head)
            self._send(_response(json.dumps(stats).encode()))
            return
        state = self._state
        state.requests += 1
        state.running += 1
        state.peak = max(state.peak, state.running)
        asyncio.get_running_loop().call_later(state.latency, self._answer, body)

    def _stats(self, *, with_answers: bool) -> dict[str, object]:
        state = self._state
        more = {"asked": state.asked} if with_answers else {}
        return {"requests": state.requests, "peak": state.peak, **more}

    def _answer(self, body: bytes) -> None:
        state = self._state
        state.running -= 1
        found = _MARK.search(body.decode())
        if found:
            state.asked[found[2]] += 1
        if state.chance.random() < state.faults:
            self._fail(state.chance.randrange(4))
        elif found:
            self._send(_revision(found[1], found[2]))
        elif judged := _JUDGED.search(body):
            grade = ("A", "B", "A-much", "tie")[zlib.crc32(body) % 4]
            self._send(_reply(f"So:\\n[[{grade}:{judged[1].decode()}]]"))
        else:
            self._send(_reply(f"answer {zlib.crc32(body):x}. {'word ' * (body[-9] % 60)}"))

    def _fail(self, kind: int) -> None:
        if kind == 0:
            self._send(_response(b'{"error": {"message": "slow down"}}', b"429 Too Many Requests"))
        elif kind == 1:
            self._send(_response(b"<html>oops", b"500 Internal Server Error"))
        elif kind == 2:
            self._send(_response(b'{"choices": [{"mess'))
        else:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        self._transport.write(data)


def _revision(nonce: str, answer: str) -> bytes:
    revised = f"[[revision:{nonce}]]\\n{answer.upper()}\\n[[end:{nonce}]]"
    return _reply(f"[[reasoning:{nonce}]]\\nlouder\\n{revised}")


def _reply(text: str) -> bytes:
    return _response(
        b'{"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", '
        b'"content": "%s"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, '
        b'"completion_tokens": 5}}' % text.encode()
    )


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


async def main(latency: float, faults: float) -> None:
    state = _State(latency, faults)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(state), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for who started it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
