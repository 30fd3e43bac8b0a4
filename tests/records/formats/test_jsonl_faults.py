"""JSONL as it arrives: cut short, in other encodings, hostile, too large."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError
from clairkit.records import read_pairs, read_prompts
from clairkit.records.faults import ROW_CAP
from clairkit.records.formats import lines

Maker = Callable[..., Any]


def refused(path: Path) -> str:
    """The one-line message with which the file is refused."""
    with pytest.raises(DataError) as caught:
        list(read_pairs(path))
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.jsonl.gz"])
def test_a_file_without_rows_is_refused(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=f"0 rows in {path}"):
            list(read_pairs(path, skip_bad=skip_bad))


def test_an_empty_parquet_or_gzip_file_is_refused(tmp_path: Path) -> None:
    for name in ("rows.parquet", "rows.jsonl.gz"):
        path = tmp_path / name
        path.write_bytes(b"")
        assert f"0 rows in {path}" in refused(path)


def test_garbage_is_shown_by_line_and_80_safe_characters(jsonl: Maker, good_row: Maker) -> None:
    rows: list[Any] = [good_row(number) for number in range(1000)]
    rows[811] = "\x1b[31m{garbage \u202e" + "x" * 500
    path = jsonl(rows)
    message = refused(path)
    assert f"{path}:812: bad_json: not JSON" in message
    shown = message.split("received ")[1].split(". ")[0]
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert 80 <= len(shown) <= 86  # quotes, and a backslash doubled
    stream = read_pairs(path, skip_bad=True)
    assert len(list(stream)) == 999
    assert stream.skipped == {"bad_json": 1}
    assert stream.examples == [f"{path}:812: bad_json"]


def test_a_torn_last_line_is_named(jsonl: Maker, good_row: Maker) -> None:
    whole = json.dumps(good_row(2)).encode()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path = jsonl([good_row(1), whole[:cut]])
        assert f"{path}:2: torn_line: the last line stops in the middle" in refused(path)
        stream = read_pairs(path, skip_bad=True)
        assert len(list(stream)) == 1
        assert stream.skipped == {"torn_line": 1}
    assert len(list(read_pairs(jsonl([good_row(1), whole])))) == 2


@given(cut=st.integers(0, 400))
def test_any_cut_keeps_the_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    data = b"".join(
        json.dumps({"prompt": f"{number} \u00e9\u3042", "n": [number]}, ensure_ascii=False).encode()
        + b"\n"
        for number in range(10)
    )
    path.write_bytes(data[:cut])
    stream = read_prompts(path, skip_bad=True)
    whole = data[:cut].count(b"\n")
    last = data[:cut].rpartition(b"\n")[2]
    complete = bool(last) and data[cut : cut + 1] in (b"\n", b"")
    if whole + complete == 0:
        with pytest.raises(DataError, match="0 "):
            list(stream)
    else:
        assert len(list(stream)) == whole + complete
        assert stream.skipped.total() == bool(last and not complete)


def test_a_byte_order_mark_and_crlf_are_accepted(tmp_path: Path, good_row: Maker) -> None:
    path = tmp_path / "rows.jsonl"
    text = json.dumps(good_row(1)) + "\r\n\r\n" + json.dumps(good_row(2)) + "\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [pair.prompt[0]["content"] for pair in read_pairs(path)] == ["What is 1?", "What is 2?"]


JAPANESE = "\u3053\u308c\u306f\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002"


@pytest.mark.parametrize(
    ("codec", "text", "name"),
    [
        ("utf-16", JAPANESE, "UTF-16LE"),
        ("utf-16-le", "plain", "UTF-16LE"),
        ("utf-16-be", "plain", "UTF-16BE"),
        ("utf-32", "plain", "UTF-32LE"),
        ("shift_jis", JAPANESE, "CP932"),
        ("euc_jp", JAPANESE, "EUC-JP"),
        ("euc_kr", "\uc548\ub155\ud558\uc138\uc694 \ubc18\uac11\uc2b5\ub2c8\ub2e4", "CP949"),
        ("gb18030", "\u8fd9\u662f\u4e2d\u6587\u7684\u53e5\u5b50", "GB18030"),
        ("cp1252", "caf\u00e9 \u2013 na\u00efve", "CP1252"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_other_encodings_are_named_with_the_command_that_converts(
    tmp_path: Path, codec: str, text: str, name: str, suffix: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    row = json.dumps({"prompt": text, "chosen": "b", "rejected": "c"}, ensure_ascii=False)
    lines = {".json": f"[{row}]", ".csv": f"prompt,chosen,rejected\n{text},b,c\n"}
    path.write_bytes(lines.get(suffix, row + "\n").encode(codec))
    message = refused(path)
    assert name in message
    assert f"iconv -f {name} -t UTF-8" in message


def test_one_broken_byte_costs_one_row(jsonl: Maker, good_row: Maker) -> None:
    bad = b'{"prompt": "caf\xe9 \xff", "chosen": "b", "rejected": "c"}\n'
    stream = read_pairs(jsonl([good_row(1), bad, good_row(2)]), skip_bad=True)
    assert len(list(stream)) == 2
    assert stream.skipped == {"bad_unicode": 1}


@pytest.mark.parametrize(
    "text",
    [
        "nul \0 in it",
        "bidi \u202e\u2066 control",
        "e" + "\u0301" * 20_000,
        "a\u2028\x85\x1f",
        "\ufeff",
    ],
    ids=["nul", "bidi", "grapheme", "separators", "mark"],
)
def test_odd_text_is_kept_as_it_is(jsonl: Maker, text: str) -> None:
    (row,) = read_prompts(jsonl([{"prompt": text, "answer": text, "note": text}]))
    assert (row.prompt[0]["content"], row.answer, row.extra["note"]) == (text, text, text)


def test_a_lone_surrogate_is_refused_in_text_and_kept_elsewhere(jsonl: Maker) -> None:
    path = jsonl([{"prompt": "a\ud800"}, {"prompt": "b", "note": "\udfff"}])
    with pytest.raises(DataError, match=r"rows.jsonl:1: bad_unicode: column `prompt`"):
        list(read_prompts(path))
    (row,) = read_prompts(path, skip_bad=True)
    assert row.extra == {"note": "\udfff"}


HOSTILE = {
    "deep array": ("[" * 100_000, "too_deep"),
    "deep closed": ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "too_deep"),
    "deep objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "too_deep"),
    "deep enough to fail later": ('{"a":' + "[" * 500 + "]" * 500 + "}", "too_deep"),
    "integer": ('{"a":' + "7" * 5000 + "}", "bad_number"),
    "negative integer": ('{"a":-' + "7" * 5000 + "}", "bad_number"),
    "huge float": ('{"a":1e999}', "bad_number"),
    "NaN": ('{"a":NaN}', "bad_number"),
    "infinity": ('{"a":[-Infinity]}', "bad_number"),
    "duplicate key": ('{"prompt":"a","prompt":"b"}', "duplicate_key"),
    "duplicate key inside": ('{"prompt":[{"role":"user","role":"user"}]}', "duplicate_key"),
    "array": ("[1]", "bad_json"),
    "number": ("1", "bad_json"),
    "two rows": ("{} {}", "bad_json"),
    "raw control character": ('{"a":"\x01"}', "bad_json"),
    "single quotes": ("{'a': 1}", "bad_json"),
}


@pytest.mark.parametrize(("line", "reason"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_hostile_json_is_refused_with_its_line(
    jsonl: Maker, good_row: Maker, line: str, reason: str, name: str
) -> None:
    path = jsonl([good_row(1), line, good_row(2)], name)
    assert f"{path}:2: {reason}" in refused(path)
    stream = read_pairs(path, skip_bad=True)
    assert len(list(stream)) == 2
    assert stream.skipped == {reason: 1}


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_line_ends_in_anything_but_a_data_error(text: str) -> None:
    from clairkit.records.faults import RowFault
    from clairkit.records.formats.strict_json import parse_object

    try:
        value = parse_object(text)
    except RowFault as fault:
        assert str(fault.to_error("f", 1)).startswith("f:1: ")  # noqa: PT017 - one of two outcomes
    else:
        assert value == json.loads(text)


def test_a_row_over_the_cap_is_skipped_in_little_memory(jsonl: Maker, good_row: Maker) -> None:
    large = json.dumps({**good_row(2), "note": "x" * (50 * 2**20)}).encode() + b"\n"
    path = jsonl([good_row(1), large, good_row(3)])
    del large
    assert f"{path}:2: too_large: a row of more than 16 MiB" in refused(path)
    tracemalloc.start()
    stream = read_pairs(path, skip_bad=True)
    assert len(list(stream)) == 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stream.skipped == {"too_large": 1}
    assert peak < 4 * ROW_CAP


def test_memory_does_not_grow_with_the_file(jsonl: Maker, good_row: Maker) -> None:
    path = jsonl({**good_row(number), "note": "y" * 4000} for number in range(10_000))
    tracemalloc.start()
    assert sum(1 for _ in read_pairs(path)) == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 40_000_000
    assert peak < 3 * 2**20


def test_gzip_gives_the_same_rows(jsonl: Maker, good_row: Maker, tmp_path: Path) -> None:
    path = jsonl([good_row(1), good_row(2)])
    zipped = tmp_path / "rows.jsonl.gz"
    zipped.write_bytes(
        gzip.compress(path.read_bytes()[:30]) + gzip.compress(path.read_bytes()[30:])
    )
    assert list(read_pairs(zipped)) == list(read_pairs(path))


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_gzip_bomb_is_refused(tmp_path: Path, skip_bad: bool) -> None:
    path = tmp_path / "rows.jsonl.gz"
    maker = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(maker.compress(b'{"prompt": "a"}\n'))
        for _ in range(96):
            file.write(maker.compress((b" " * (2**16 - 1) + b"\n") * 2**4))
        file.write(maker.flush())
    tracemalloc.start()
    with pytest.raises(DataError, match="gzip bomb") as caught:
        list(read_prompts(path, skip_bad=skip_bad))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.exit_code == 3
    assert peak < 8 * 2**20


def test_well_compressed_rows_below_the_floor_are_no_bomb(jsonl: Maker, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    row = json.dumps({"prompt": "a" * 2**22}).encode()
    path.write_bytes(gzip.compress(row))
    assert len(row) > lines.RATIO_CAP * path.stat().st_size
    assert len(list(read_prompts(path))) == 1


def test_damaged_gzip_keeps_the_rows_before(jsonl: Maker, good_row: Maker, tmp_path: Path) -> None:
    plain = jsonl(good_row(number) for number in range(5000)).read_bytes()
    whole = gzip.compress(plain)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert "torn_gzip" in refused(path)
    stream = read_pairs(path, skip_bad=True)
    assert 1000 < len(list(stream)) < 5000
    assert stream.skipped == {"torn_gzip": 1}
    path.write_bytes(whole[:3000] + b"\0\xff" * 50 + whole[3100:])
    stream = read_pairs(path, skip_bad=True)
    assert list(stream)
    assert stream.skipped["torn_gzip"] == 1
