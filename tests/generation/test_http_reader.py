"""The reader of responses: however they are cut, and against rubbish."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clairkit.generation.http_reader import HttpResponse, ResponseReader, WireFault

CAP = 1000
Read = tuple[int, bytes | None] | None
"""Status and body; None where it is no response."""


def read(data: bytes, cuts: list[int] | None = None, *, ends: bool = True) -> ResponseReader:
    """Feed the bytes in pieces, and the end of the connection."""
    reader = ResponseReader(CAP)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, stop in pairwise(places):
        if reader.response is None and start < stop:
            reader.feed(data[start:stop])
    if ends:
        reader.end()
    return reader


def ours(data: bytes, cuts: list[int]) -> Read:
    try:
        response = read(data, cuts).response
    except WireFault:
        return None
    assert isinstance(response, HttpResponse)
    return response.status, response.content


PIECES = st.sampled_from(
    [
        *(b"HTTP/1.1 %d OK\r\n" % status for status in (100, 103, 200, 204, 304, 404, 500, 999)),
        b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n", b"HTTP/2 200 OK\r\n",
        b"Content-Length: 2\r\n", b"content-length: 2, 2\r\n", b"Content-Length: 3\r\n",
        b"Content-Length: -1\r\n", b"Content-Length: 1001\r\n", b"Content-Length:\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n", b"A : b\r\n", b"A: b\n", b": b\r\n", b"A: b\r\n c\r\n",
        b"A: \0\r\n", b"\r\n", b"\n", b"\r\n\r\n", b"ok", b"2\r\nok\r\n", b"2;x=y\r\nok\r\n",
        b"02\r\nok\n", b"3\r\nok\r\n", b"0\r\n", b"0\r\nT: v\r\n", b"g\r\n", b"x" * 600,
    ]
)  # fmt: skip
RESPONSES = st.builds(
    lambda head, fields, rest: head + b"".join(fields) + b"\r\n" + b"".join(rest),
    st.sampled_from((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n")),
    st.lists(PIECES, max_size=3),
    st.lists(PIECES, max_size=4),
)


@given(
    data=st.one_of(st.lists(PIECES, max_size=7).map(b"".join), RESPONSES),
    cuts=st.lists(st.integers(0, 2000), max_size=5),
)
@settings(max_examples=600, deadline=None)
@example(data=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", cuts=[3, 17, 19, 36, 38])
@example(
    data=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", cuts=[46]
)
@example(data=b"HTTP/1.1 200 OK\r\n\r\nok", cuts=[])
def test_where_the_bytes_are_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    """And whatever comes, the only exception is `WireFault`."""
    assert ours(data, cuts) == ours(data, [])


@given(
    cuts=st.lists(st.integers(0, 2000), max_size=5),
    name=st.sampled_from(("length", "chunks", "rest")),
)
def test_a_good_response_is_read_however_it_is_cut(cuts: list[int], name: str) -> None:
    body = {
        "length": b"Content-Length: 4\r\nX: a\r\nx: b\r\n\r\nokay",
        "chunks": b"X: a\r\nx: b\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"1\r\no\r\n3;e=1\r\nkay\r\n0\r\nT: v\r\n\r\n",
        "rest": b"X: a\r\nx: b\r\nConnection: close\r\n\r\nokay",
    }[name]  # fmt: skip
    reader = read(b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n" + body, cuts,
                  ends=name == "rest")  # fmt: skip
    assert reader.response is not None
    assert (reader.response.status, reader.response.content) == (200, b"okay")
    assert reader.response.headers["x"] == "a, b"
    assert reader.is_clean == (name != "rest")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK",  # more than was asked for
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_after_which_a_connection_is_not_kept(data: bytes) -> None:
    reader = read(data, ends=False)
    assert reader.response is not None
    assert not reader.is_clean


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\n", "within the response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "within the response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
         "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n", "no HTTP response"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "no HTTP response|another protocol|within"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "no HTTP response"),
        (b"x" * 70_000, "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000,
         "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 20_000,
         "no HTTP response"),
    ],
    ids=lambda value: repr(value[-24:]),
)  # fmt: skip
def test_what_is_no_response(data: bytes, words: str) -> None:
    with pytest.raises(WireFault, match=words):
        read(data, list(range(1000, len(data), 1000)))


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Length: 1001\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx",
        b"\r\n" + b"x" * 1001,
    ],
)
def test_a_long_body_is_not_waited_for(data: bytes) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n" + data, ends=False)
    assert reader.response == HttpResponse(200, reader.response.headers, None)
    assert not reader.is_clean
