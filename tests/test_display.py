"""Text made safe to show."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.display import REDACTED, counted, excerpt, printable, redact

ANY = st.text(st.characters())


@given(ANY)
def test_printable_text_has_no_control_surrogate_or_bidi_override(text: str) -> None:
    shown = printable(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    for character in shown:
        assert character in "\n\t" or unicodedata.category(character) not in (
            "Cc",
            "Cs",
            "Zl",
            "Zp",
        )
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M"])))
def test_visible_text_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\r\nb\tc", "a\\x0d\nb\tc"),
        ("\x9b1m", "\\x9b1m"),
        ("x\u202ey", "x\\u202ey"),
        ("x\ud83dy", "x\\ud83dy"),
        ("x\u2028y", "x\\u2028y"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),  # a joiner is no control
        ("[/foo] <script> =cmd()", "[/foo] <script> =cmd()"),
    ],
)
def test_hidden_characters_are_spelt_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY, st.integers(2, 200))
def test_an_excerpt_is_one_line_within_the_limit(text: str, limit: int) -> None:
    shown = excerpt(text, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_a_count_has_its_noun() -> None:
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_an_excerpt_says_that_it_was_cut() -> None:
    assert excerpt("x" * 80) == "x" * 80
    assert excerpt("x" * 81) == "x" * 79 + "\u2026"
    assert excerpt("x" * 10**7).endswith("x\u2026")


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "OPENAI_API_KEY_2",
        "HF_TOKEN",
        "DB_PASSWORD",
        "MY_SECRETS",
        "aws_credentials",
        "GITHUB_PAT",
        "NPM_AUTH",
        "KEY_PASSPHRASE",
    ],
)
def test_secrets_of_the_environment_are_removed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "plain-words-42")
    assert redact("a plain-words-42 b") == f"a {REDACTED} b"
    assert "plain-words" not in excerpt("x" * 70 + "plain-words-42")


@pytest.mark.parametrize(
    "shown",
    ["Plain+Words/42", "plain+words/42", "Plain%2BWords%2F42", 'in JSON: "Plain+Words/42"'],
)
def test_a_secret_is_known_however_it_is_spelt(monkeypatch: pytest.MonkeyPatch, shown: str) -> None:
    monkeypatch.setenv("A_KEY", "Plain+Words/42")
    assert "words" not in redact(shown).lower()


def test_a_secret_that_json_escapes_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", 'plain"words\\42')
    assert "words" not in redact(json.dumps({"key": 'plain"words\\42'}))


def test_a_password_in_a_variable_that_holds_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:plain%40words@proxy:3128")
    assert redact("407: plain@words and plain%40words") == f"407: {REDACTED} and {REDACTED}"


def test_a_long_secret_at_the_end_of_what_an_excerpt_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = ".".join(f"part-{number}" for number in range(300))
    monkeypatch.setenv("A_TOKEN", secret)
    assert "part" not in excerpt(secret * 2)


def test_a_secret_within_a_longer_one_leaves_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "abcdefgh")
    monkeypatch.setenv("B_KEY", "abcdefgh-ijkl")
    assert redact("abcdefgh-ijkl") == REDACTED


def test_short_values_and_other_variables_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "the")
    monkeypatch.setenv("KEYBOARD", "qwertyuiop")
    assert redact("the qwertyuiop") == "the qwertyuiop"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
        ("https://user:hunter22@host/x", "hunter22"),
        ("https://host/?api_key=s3cr3t&x=1", "s3cr3t"),
        ("https://host/?access_token=s3cr3t", "s3cr3t"),
        ("key sk-proj-0123456789abcdefghij", "0123456789abcdefghij"),
        ("hf_abcdefghijklmnopqrst", "abcdefghijklmnopqrst"),
    ],
)
def test_secrets_are_known_by_their_shape(text: str, hidden: str) -> None:
    assert hidden not in redact(text)
    assert REDACTED in redact(text)


def test_ordinary_text_is_not_redacted() -> None:
    text = "The bearer of news; see https://host:8080/a@b and task-list sk-short."
    assert redact(text) == text
