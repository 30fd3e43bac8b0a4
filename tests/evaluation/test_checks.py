"""Checks: found by name, called with all they need, and held to their contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.evaluation import load_check, score_answer
from clairkit.records import PromptRow

ROW = PromptRow(
    prompt=({"role": "user", "content": "1 + 1?"},), answer="3", id="r1", extra={"sum": "2"}
)


def test_a_check_gets_prompt_answer_and_row() -> None:
    seen: list[Any] = []

    def check(*given: Any) -> bool:
        seen.extend(given)
        return True

    assert score_answer(check, ROW, "2") == 1.0
    prompt, answer, row = seen
    assert prompt == [{"role": "user", "content": "1 + 1?"}]
    assert answer == "2"
    assert row == {"id": "r1", "prompt": prompt, "answer": "3", "sum": "2"}


class Scalar:
    """A number as numpy and torch have it."""

    def item(self) -> float:
        return 0.25


@pytest.mark.parametrize(
    ("value", "score"), [(True, 1.0), (False, 0.0), (0.5, 0.5), (1, 1.0), (Scalar(), 0.25)]
)
def test_what_a_check_may_return(value: Any, score: float) -> None:
    assert score_answer(lambda *_: value, ROW, "2") == score


@pytest.mark.parametrize("value", [None, "yes", -0.1, 1.5, float("nan"), [], {}])
def test_what_a_check_may_not_return(value: Any) -> None:
    with pytest.raises(UsageError, match="row r1"):
        score_answer(lambda *_: value, ROW, "2")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("[/foo] \x1b[31m"), "failed on row r1"),
        (SystemExit(0), r"`.*check` tried to end the program \(SystemExit: 0\)"),
        (GeneratorExit(), "tried to end the program"),
    ],
)
def test_a_check_that_fails_is_the_users_error(error: BaseException, message: str) -> None:
    def check(*_: Any) -> bool:
        raise error

    with pytest.raises(UsageError, match=message) as caught:
        score_answer(check, ROW, "2")
    assert "\x1b" not in str(caught.value)


def test_a_check_of_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "check_here_7f.py").write_text("def right(prompt, answer, row): return True\n")
    monkeypatch.chdir(tmp_path)
    assert load_check("python:check_here_7f:right")(None, None, None) is True


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mychecks:right", "python:PACKAGE:FUNCTION"),
        ("python:json", "not the name of a function"),
        ("python:no_such_module_7f:right", "no_such_module_7f"),
        ("python:json:no_such", "no_such"),
        ("python:json:__name__", "not a function"),
    ],
)
def test_what_is_no_check(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_check(spec)
