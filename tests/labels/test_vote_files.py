"""Files of votes: as the page saves them, and what spreadsheets make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_cases import all_rows, made_key, row, saved, write_votes

from clairkit.errors import DataError
from clairkit.labels import Key, Vote, read_votes
from clairkit.labels.vote_files import checksum

NAMES = ["item", "vote", "ms", "at", "changes", "note", "check"]
KEY = made_key(20)


def table(
    key: Key = KEY, *, separator: str = ",", end: str = "\r\n", note: str = "", at: str = ""
) -> str:
    """What the page saves as CSV, or a spreadsheet with other habits."""
    rows = [{**each, "note": note} | ({"at": at} if at else {}) for each in all_rows(key)]
    lines = [separator.join([*NAMES, "key", "rater"])]
    lines += [
        separator.join([*(str(each[name]) for name in NAMES), key.digest, "rater"]) for each in rows
    ]
    return end.join(lines) + end


def read(path: Path, content: bytes, language: str = "en") -> list[Vote]:
    path.write_bytes(content)
    return read_votes(path, language)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "votes.csv"


@pytest.mark.parametrize(
    ("text", "codec", "language", "note"),
    [
        (table(), "utf-8-sig", "en", ""),
        (table(end="\n"), "utf-8", "en", ""),
        (table(separator=";"), "utf-8-sig", "en", ""),  # Excel in half of Europe
        ("sep=;\r\n" + table(separator=";"), "utf-8", "en", ""),
        ('"sep=,"\r\n' + table(), "utf-8", "en", ""),
        (table(separator="\t", note="正しい"), "utf-16", "ja", "正しい"),  # "Unicode text"
        (table(note="正解は左。"), "cp932", "ja", "正解は左。"),  # "CSV" of a Japanese Excel
        (table(note="ひらがなとカタカナ"), "cp932", "en", "ひらがなとカタカナ"),
        (table(note="très bien, à gauche".replace(",", "")), "cp1252", "en", "très bien à gauche"),
        (table().replace("item,vote", "Item , Vote"), "utf-8", "en", ""),
        (table() + ",,,,,,,,\r\n" * 3, "utf-8", "en", ""),
    ],
)
def test_tables_saved_again_are_read_whole(
    file: Path, text: str, codec: str, language: str, note: str
) -> None:
    votes = read(file, text.encode(codec), language)
    assert [vote.item for vote in votes] == [each["item"] for each in all_rows(KEY)]
    assert not any(vote.is_edited for vote in votes)
    assert {vote.note for vote in votes} == {note}
    assert {vote.ms for vote in votes} == {9000}


@pytest.mark.parametrize("shown", ["9,000", "9.000", "9 000", "9\u00a0000", "９０００"])  # noqa: RUF001 - full-width digits are meant
def test_numbers_as_spreadsheets_show_them(file: Path, shown: str) -> None:
    cell = f'"{shown}"' if "," in shown else shown
    votes = read(file, table().replace(",9000,", f",{cell},").encode())
    assert {(vote.ms, vote.is_edited) for vote in votes} == {(9000, False)}


def test_a_time_that_a_spreadsheet_rewrote_is_unknown(file: Path) -> None:
    [vote, *_] = read(file, table(at="2026/12/1 8:40").encode())
    assert (vote.at, vote.is_edited) == (None, False)
    [vote, *_] = read(file, table().encode())
    assert vote.at is not None
    assert vote.at.isoformat() == "2026-12-01T08:00:00+00:00"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "workbook"),
        (b"\xd0\xcf\x11\xe0rest", "workbook"),
        (b"", "no column `item`"),
        (b"id,answer\r\n1,2\r\n", "no column `item`"),
        (table().replace(",9000,", ",03. Mai,").encode(), "holds no whole number"),
        (table().replace(",9000,", ",1.2E+04,").encode(), "holds no whole number"),
        (table().replace(all_rows(KEY)[3]["item"], "4E+12").encode(), "no id of a label page"),
        (b'{"kind": "clairkit votes", "votes": [', "not whole"),
        (b'{"kind": "something"}', "no votes of a label page"),
        (b'{"kind": "clairkit votes", "votes": [1]}', "is no vote"),
        (b"item,vote,key\r\n\x81 \r\n", "no encoding"),
    ],
)
def test_what_is_damaged_is_refused_by_name(file: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        read(file, content)
    assert str(file) in str(error.value)


def test_a_damaged_cell_is_named_by_its_line(file: Path) -> None:
    lines = table().split("\r\n")
    lines[4] = lines[4].replace(",9000,", ",3.May,")
    with pytest.raises(DataError, match=r"votes\.csv:5: column `ms`"):
        read(file, "\r\n".join(lines).encode())


def test_a_missing_file() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_votes("no-such-file.json")


@pytest.mark.parametrize("change", [{"vote": "skip"}, {"ms": 9001}, {"check": None}])
def test_an_edited_row_is_seen(tmp_path: Path, change: dict[str, object]) -> None:
    rows = all_rows(KEY)
    rows[2] |= change
    votes = read_votes(write_votes(tmp_path / "votes.json", KEY, rows))
    assert [at for at, vote in enumerate(votes) if vote.is_edited] == [2]


def test_a_json_file_saved_again_by_an_editor(file: Path) -> None:
    value = saved(KEY, [row(KEY, KEY.raters["rater"][0], "left", note="左")])
    text = json.dumps(value, ensure_ascii=False, indent=4)
    for codec in ("utf-8-sig", "utf-16", "cp932"):
        [vote] = read(file, text.encode(codec), "ja")
        assert (vote.note, vote.is_edited) == ("左", False)


@given(st.text(max_size=20).filter(lambda text: "\x00" not in text))
def test_votes_are_read_or_refused_but_never_a_bug(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes"
        path.write_text(f"item,vote,key\n{text}", encoding="utf-8", errors="surrogatepass")
        try:
            read_votes(path)
        except DataError:
            return


def test_the_checksum_is_fnv_1a() -> None:
    # the published values of FNV-1a, 64 bits, of "", "a" and "foobar"
    assert checksum("") == "ccbf29ce484222325"
    assert checksum("a") == "caf63dc4c8601ec8c"
    assert checksum("foobar") == "c85944171f73967e8"
