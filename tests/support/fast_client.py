"""Starts the fast server, asks for its figures, and drives it as fast as a bare client can."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen


class FastServer:
    """The server of `fast_server.py`, in a process of its own."""

    def __init__(self, latency: float, faults: float) -> None:
        script = str(Path(__file__).with_name("fast_server.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, str(latency), str(faults)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> int:
        """How many there were."""
        return int(self._get("count")["requests"])

    def stats(self) -> dict[str, Any]:
        """`requests`, `peak` (at once) and `asked` (by answer)."""
        return self._get("stats")

    def _get(self, path: str) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def fast_server(latency: float, faults: float = 0.0) -> Iterator[FastServer]:
    server = FastServer(latency, faults)
    try:
        yield server
    finally:
        server.close()


async def drive(port: int, requests: int, concurrency: int, *, keep: bool = True) -> None:
    """Post so many requests, doing nothing else with what comes back than counting its bytes.

    Args:
        port: of the server.
        requests: in all.
        concurrency: at once.
        keep: use connections again; else each serves one request, as those of clairkit do.
    """
    text = f"[[answer:01234567]]\\n{'word ' * 60}\\n[[answer-end:01234567]]{'x' * 2000}"
    body = f'{{"messages": [{{"role": "user", "content": "{text}"}}]}}'.encode()
    request = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    left = requests

    async def work() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            if not keep:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.rpartition(b": ")[2]))
        writer.close()

    await asyncio.gather(*(work() for _ in range(concurrency)))
