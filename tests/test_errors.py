"""Messages and exit codes of errors."""

from __future__ import annotations

import pytest

from clairkit import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ClairError, 1),
        (errors.UsageError, 2),
        (errors.DataError, 3),
        (errors.PartialError, 4),
        (errors.ResourceError, 5),
        (errors.RemoteError, 6),
        (errors.GateError, 7),
        (errors.EvidenceError, 8),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[errors.ClairError], code: int) -> None:
    error = kind("it broke", received=3, remedy="mend it")
    assert error.exit_code == code
    assert str(error) == "it broke: received 3. Mend it"
    assert (error.problem, error.received, error.remedy) == ("it broke", 3, "mend it")
    assert isinstance(error, errors.ClairError)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "it broke"),
        ({"received": ""}, "it broke: received ''"),
        ({"received": 0}, "it broke: received 0"),
        ({"remedy": "use `X`"}, "it broke. Use `X`"),
        ({"remedy": "`x` is better"}, "it broke. `x` is better"),
        ({"path": "a.jsonl"}, "a.jsonl: it broke"),
        ({"path": "a.jsonl", "line": 7}, "a.jsonl:7: it broke"),
    ],
)
def test_a_data_error_says_what_is_known(options: dict[str, object], text: str) -> None:
    assert str(errors.DataError("it broke", **options)) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "received", "text"),
    [
        ("training on a CPU needs use_cpu. :", "bf16=True", "… use_cpu: received 'bf16=True'. Do"),
        ("Run `pip install wandb`.", None, "Run `pip install wandb`. Do"),
        ("it broke,\n", 3, "it broke: received 3. Do"),
        ("is it there?", None, "is it there? Do"),
    ],
)
def test_parts_that_end_in_punctuation_are_joined_once(
    problem: str, received: object, text: str
) -> None:
    """The reason that a library gives is a sentence, with its full stop."""
    said = str(errors.UsageError(problem, received=received, remedy="do"))
    assert said == text.replace("…", "training on a CPU needs")
    assert str(errors.UsageError("It broke.")) == "It broke."


def test_a_data_error_keeps_its_place() -> None:
    from pathlib import Path

    error = errors.DataError("it broke", path=Path("a") / "b.jsonl", line=2)
    assert (error.path, error.line) == ("a/b.jsonl", 2)
    assert errors.DataError("it broke").path is None


def test_a_suggestion_begins_a_remedy_or_is_nothing() -> None:
    assert errors.suggest("alph", ["beta", "alpha"]) == "did you mean alpha? "
    assert errors.suggest("alph", ["alpha"], shown=repr) == "did you mean 'alpha'? "
    assert errors.suggest("x", ["beta", "alpha"]) == ""
    assert errors.nearest("alph", {"alpha": 1}, cutoff=0.95) is None
