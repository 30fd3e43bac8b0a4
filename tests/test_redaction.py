"""Which secrets of the environment are known, and what has the shape of one."""

from __future__ import annotations

import base64

import pytest

from clairkit.redaction import REDACTED, holds, known_secrets, redact


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", "hf-planted", "hf-planted"),
        ("AWS_SECRET_ACCESS_KEY", "aws/planted", "aws/planted"),
        ("HTTPS_PROXY", "http://ann:pl%40nted@proxy:3128", "pl@nted"),
        ("HTTPS_PROXY", "http://ann:pl@nted@proxy:3128", "pl@nted"),
        ("https_proxy", "ann:planted@proxy:3128", "planted"),
        ("ALL_PROXY", "socks5://:planted@proxy", "planted"),
        ("GIT_REMOTE", "https://ghp0123456789abcdef@git.example/x", "ghp0123456789abcdef"),
        ("OPENAI_BASE_URL", "https://x.example/v1?a=1&api-key=planted", "planted"),
        ("ENDPOINT", "https://x.example/v1?sig=pl%2Fnted", "pl/nted"),
    ],
)
def test_secrets_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, secret: str
) -> None:
    monkeypatch.setenv(name, value)
    assert secret in known_secrets()
    pair = base64.b64encode(f"someone:{secret}".encode()).decode()
    for text in (secret, pair):
        shown = redact(f"before {text} behind")
        assert secret not in shown
        assert pair not in shown
        assert shown.startswith("before ")
        assert shown.endswith(" behind")


@pytest.mark.parametrize(
    "text",
    [
        "a basic understanding of keys",
        "https://x.example/search?q=monkey&page=2",
        "bearer of news",
        "mail me at ann@host.example: at 10",
        "The authorization of it.",
        "YW5uOnBsYW50ZWQ=",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /v1?api-version=1&api-key=planted9", f"GET /v1?api-version=1&api-key={REDACTED}"),
        ("/x?subscription-key=planted9#y", f"/x?subscription-key={REDACTED}#y"),
        ("Authorization: Basic cGxhbnRlZA==", f"Authorization: Basic {REDACTED}"),
        ('{"authorization": "planted99"}', f'{{"authorization": "{REDACTED}"}}'),
        ("http://ann:pl@nted@host/x", f"http://{REDACTED}@host/x"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_removed(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_every_part_of_a_long_secret_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{n:02d}" + "aB3/" * 15 for n in range(12)]
    monkeypatch.setenv("MY_PRIVATE_KEY", "\n".join(lines))
    assert redact("x " + "\n".join(lines) + " y").count("aB3/" * 8) == 0


def test_a_secret_is_not_seen_across_two_texts() -> None:
    assert not holds("plant\x1eed-secret", ["planted-secret"])
    assert holds("plant\n  ed-secret", ["planted-secret"])
    assert not holds("any text", [])
