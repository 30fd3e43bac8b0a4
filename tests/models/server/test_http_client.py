"""The HTTP client: one request a connection, proxies, TLS, odd but lawful responses."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clairkit.errors import UsageError
from clairkit.models.server.http_client import HttpClient, HttpFault, HttpResponse, find_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire:
    """A server that gives its responses one after the other, byte for byte, and keeps the heads."""

    def __init__(self, responses: list[bytes], context: ssl.SSLContext | None = None) -> None:
        self.responses = responses
        self.hangs_up = False
        self.cuts = False  # hangs up after what is not whole
        self.deaf = False
        self.afterthought = b""
        self.upgrade: ssl.SSLContext | None = None
        self.heads: list[str] = []
        self.connections = 0
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)
        except OSError:
            return

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        while piece := connection.recv(2**16):
            data += piece
            head, end, rest = data.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            if not end or len(rest) < size:
                continue
            data = rest[size:]
            self.heads.append(head.decode())
            response = self.responses.pop(0)
            connection.sendall(response)
            if self.upgrade is not None and head.startswith(b"CONNECT"):
                connection = self.upgrade.wrap_socket(connection, server_side=True)
            if self.deaf:
                time.sleep(20)
            if self.afterthought:
                time.sleep(0.02)
                connection.sendall(self.afterthought)
                self.afterthought = b""
            if (
                (self.cuts and not response.endswith(b"ok"))
                or self.hangs_up
                or b"close" in response.lower()
                or not response
            ):
                return

    def close(self) -> None:
        self._socket.close()


@contextmanager
def wired(*responses: bytes, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    wire = Wire(list(responses), context)
    try:
        yield wire
    finally:
        wire.close()


def ask(
    base_url: str, times: int = 1, *, use_proxy: bool = False, pause: float = 0.0
) -> list[HttpResponse]:
    async def run() -> list[HttpResponse]:
        client = HttpClient(base_url, {"X-Mine": "1"}, body_cap=1000, use_proxy=use_proxy)
        try:
            responses = []
            for _ in range(times):
                responses.append(await client.post("/path", b"body"))
                await asyncio.sleep(pause)
            return responses
        finally:
            await client.close()

    return asyncio.run(asyncio.wait_for(run(), 20))


def test_a_connection_serves_one_request() -> None:
    with wired(OK, OK, OK) as wire:
        responses = ask(f"http://127.0.0.1:{wire.port}/v1", 3)
    assert [(each.status, each.content) for each in responses] == [(200, b"ok")] * 3
    assert wire.connections == 3
    lines = wire.heads[0].splitlines()
    assert lines[0] == "POST /v1/path HTTP/1.1"
    host = f"host: 127.0.0.1:{wire.port}"
    assert {host, "x-mine: 1", "content-length: 4", "connection: close"} <= {
        line.lower() for line in lines
    }


@pytest.mark.parametrize(
    ("response", "content"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            b"ok",
        ),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok until the end", b"ok until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000, b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, None),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000, None),
    ],
)
def test_lawful_responses_are_read_and_the_next_one_too(
    response: bytes, content: bytes | None
) -> None:
    with wired(response, OK) as wire:
        first, second = ask(f"http://127.0.0.1:{wire.port}", 2)
    assert (first.content, second.content) == (content, b"ok")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"Connection: close\r\n\r\n",
    ],
    ids=lambda response: repr(response[:40]),
)
def test_what_is_no_http_is_a_fault(response: bytes) -> None:
    with wired(response) as wire, pytest.raises(HttpFault):
        ask(f"http://127.0.0.1:{wire.port}")


def test_a_proxy_gets_the_whole_address_and_its_own_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with wired(OK) as wire:
        monkeypatch.setenv("http_proxy", f"http://me:pa%20ss@127.0.0.1:{wire.port}")
        ask("http://models.example/v1", use_proxy=True)
    head = wire.heads[0].lower()
    assert head.startswith("post http://models.example/v1/path http/1.1")
    assert "host: models.example\r\n" in head
    assert "proxy-authorization: basic bwu6cgegc3m=" in head


def test_a_tunnel_is_asked_for_and_a_refusal_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with wired(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n") as wire:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{wire.port}")
        with pytest.raises(HttpFault, match=r"proxy refused to connect \(407\)"):
            ask("https://models.example/v1", use_proxy=True)
    assert wire.heads[0].startswith("CONNECT models.example:443 HTTP/1.1")
    assert "x-mine" not in wire.heads[0].lower()


def test_which_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    url = urlsplit("https://models.example/v1")
    assert find_proxy(url) is None
    monkeypatch.setenv("all_proxy", "proxy.example:3128")
    found = find_proxy(url)
    assert found is not None
    assert (found.url, found.authorization) == ("http://proxy.example:3128", None)
    monkeypatch.setenv("no_proxy", "models.example")
    assert find_proxy(url) is None
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("all_proxy", "socks5://me:hunter22@proxy.example")
    with pytest.raises(UsageError, match="not an http:// or https:// address") as info:
        find_proxy(url)
    assert "hunter22" not in str(info.value)


@pytest.mark.parametrize(
    ("exceptions", "url", "is_excepted"),
    [
        ("*", "https://models.example/v1", True),
        ("other.example, *", "https://models.example/v1", True),
        ("example", "https://models.example/v1", True),
        (".example", "https://models.example/v1", True),
        (".models.example", "https://models.example/v1", True),
        ("*.example", "https://models.example/v1", True),
        ("*.models.example", "https://models.example/v1", False),
        ("odels.example", "https://models.example/v1", False),
        ("MODELS.example", "https://models.EXAMPLE/v1", True),
        ("models.example.", "https://models.example/v1", True),
        ("models.example", "https://models.example./v1", True),
        ("models.example:443", "https://models.example/v1", True),
        ("models.example:80", "https://models.example/v1", False),
        ("models.example:8000", "http://models.example:8000/v1", True),
        ("other.example models.example", "http://models.example/v1", True),
        ("10.0.0.0/8", "http://10.1.2.3:8000/v1", True),
        ("10.0.0.1/8", "http://10.1.2.3:8000/v1", True),
        ("10.0.0.0/8", "http://11.1.2.3/v1", False),
        ("10.0.0.0/8", "http://models.example/v1", False),
        ("10.0.0.0/255.0.0.0", "http://10.1.2.3/v1", True),
        ("10.1.2.3", "http://10.1.2.3/v1", True),
        ("10.1.2.3:8000", "http://10.1.2.3:8000/v1", True),
        ("10.1.2.3:8001", "http://10.1.2.3:8000/v1", False),
        ("10.1.*", "http://10.1.2.3/v1", True),
        ("2.3", "http://10.1.2.3/v1", False),
        ("10.1.2.3", "http://[::ffff:10.1.2.3]/v1", True),
        ("fd00::/8", "http://[fd12::1]:8000/v1", True),
        ("fd00::/8", "http://[fe12::1]/v1", False),
        ("fd12::1", "http://[fd12:0:0::1]/v1", True),
        ("[fd12::1]", "http://[fd12::1]/v1", True),
        ("[fd12::1]:8000", "http://[fd12::1]:8000/v1", True),
        ("[fd12::1]:8001", "http://[fd12::1]:8000/v1", False),
        (" ,, ", "http://models.example/v1", False),
        ("[", "http://models.example/v1", False),
        ("10.0.0.0/99,models.example", "http://models.example/v1", True),
        (".", "http://models.example/v1", False),
        ("models.example:99999999999", "http://models.example/v1", False),
    ],
)
def test_whom_no_proxy_excepts(
    exceptions: str, url: str, is_excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    assert (find_proxy(urlsplit(url)) is None) == is_excepted


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody signed, with its key, in one file."""
    file = tmp_path / "server.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(tmp_path / "key"),
            "-out",
            str(tmp_path / "cert"),
        ],
        check=True,
        capture_output=True,
    )
    file.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "cert").read_bytes())
    return file


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_certificates_are_checked(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with wired(OK, context=context) as wire:
        with pytest.raises(HttpFault, match="CERTIFICATE_VERIFY_FAILED"):
            ask(f"https://127.0.0.1:{wire.port}/v1")
        assert not wire.heads
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        (response,) = ask(f"https://127.0.0.1:{wire.port}/v1")
    assert response.content == b"ok"


@pytest.mark.parametrize("late", [False, True])
def test_a_response_that_nobody_asked_for_answers_no_other_request(late: bool) -> None:
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
    with wired(OK if late else OK + other, OK) as wire:
        if late:
            wire.afterthought = other
        responses = ask(f"http://127.0.0.1:{wire.port}", 2, pause=0.1)
        assert [each.content for each in responses] == [b"ok", b"ok"]
        assert wire.connections == 2


def test_an_unread_giant_is_cut_off_at_once() -> None:
    giant = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"
    with wired(giant, OK) as wire:
        first, second = ask(f"http://127.0.0.1:{wire.port}", 2)
    assert (first.content, second.content) == (None, b"ok")


def test_a_tunnel_to_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with wired(b"HTTP/1.1 503 No\r\n\r\n") as wire:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{wire.port}")
        with pytest.raises(HttpFault, match="refused"):
            ask("https://[2001:db8::1]:8443/v1", use_proxy=True)
    assert wire.heads[0].startswith(
        "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443"
    )


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://proxy:port", "http://:3128", "a..b:3128", "http://x:0"]
)
def test_a_proxy_that_is_none_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", address)
    with pytest.raises(UsageError, match="not an http:// or https:// address"):
        find_proxy(urlsplit("https://models.example/v1"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_nobody_waits_for_a_farewell(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with wired(OK, context=context) as wire:
        wire.deaf = True
        started = time.monotonic()
        ask(f"https://127.0.0.1:{wire.port}/v1")
        assert time.monotonic() - started < 5  # TLS would wait 30 s for each connection


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_tls_through_a_proxy(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    connected = b"HTTP/1.1 200 Connected\r\n\r\n"
    with wired(connected, OK, connected, OK) as wire:
        wire.upgrade = context
        monkeypatch.setenv("https_proxy", f"http://me:word@127.0.0.1:{wire.port}")
        responses = ask("https://127.0.0.1:7/v1", 2, use_proxy=True)
    assert [each.content for each in responses] == [b"ok", b"ok"]
    assert wire.connections == 2
    for connect, post in (wire.heads[:2], wire.heads[2:]):
        assert "proxy-authorization: basic bWU6d29yZA==".lower() in connect.lower()
        assert "x-mine" not in connect.lower()
        assert "proxy-authorization" not in post.lower()
        assert "x-mine: 1" in post.lower()
