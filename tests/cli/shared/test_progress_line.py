"""Progress: what it says, on a terminal, without one, and on a narrow one."""

from __future__ import annotations

import io
import sys
from collections import Counter

import pytest

from clairkit.cli.shared import progress_line
from clairkit.cli.shared.console import Console
from clairkit.cli.shared.progress_line import ProgressLine, progress_text
from clairkit.engine.progress import Progress


def made(monkeypatch: pytest.MonkeyPatch, *, seconds: float = 100.0, **more: object) -> Progress:
    progress = Progress(total=5000, done=1100, resumed=100, started=0.0, **more)  # type: ignore[arg-type]  # by field
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    return progress


def test_rows_time_left_cost_speed_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = made(
        monkeypatch,
        completion_tokens=250_000,
        cost=1.5,
        calls=Counter(answer=700, revise=650),
        failures=Counter(request_failed=3, refusal=12),
    )
    assert progress_text(progress) == (
        "1,100/5,000 rows, 6 min left, $1.50, 2,500 tokens/s, 12 refusal, 3 request_failed, "
        "700 answer, 650 revise"
    )
    assert progress_text(progress, 40) == "1,100/5,000 rows, 6 min left, $1.50"


def test_what_is_not_known_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = made(monkeypatch)
    progress.total, progress.cost = None, None
    assert progress_text(progress) == "1,100 rows"
    progress.total, progress.done = 5000, 100  # all of it from earlier
    assert progress_text(progress) == "100/5,000 rows"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 s"),
        (89, "89 s"),
        (100, "2 min"),
        (5300, "88 min"),
        (9000, "2 h 30 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert progress_line._duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, terminal = made(monkeypatch, failures=Counter(refusal=1)), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    line = ProgressLine(Console())
    line.update(progress)
    assert terminal.getvalue() == ""  # nothing has changed yet
    for second in (101.0, 101.01, 102.0):
        monkeypatch.setattr("time.monotonic", lambda now=second: now)
        line.update(progress)
    line.end()
    drawn = terminal.getvalue()
    assert drawn.count("\r") == 2  # 101.01 is too soon
    assert drawn.endswith("\n")
    assert {len(part) for part in drawn.rstrip("\n").split("\r")[1:]} == {19}
    assert drawn.startswith("\r1,100/5,000 rows   \r")


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_line_now_and_then_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], term: str | None
) -> None:
    progress = made(monkeypatch)
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    line = ProgressLine(Console())
    for second in (105.0, 111.0, 115.0, 122.0):
        monkeypatch.setattr("time.monotonic", lambda now=second: now)
        line.update(progress)
    line.end()
    err = capsys.readouterr().err
    assert err.count("rows") == 2
    assert "\r" not in err


def test_quiet_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = made(monkeypatch)
    line = ProgressLine(Console(quiet=True))
    monkeypatch.setattr("time.monotonic", lambda: 1e6)
    line.update(progress)
    assert capsys.readouterr().err == ""
