"""`clairkit score --compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run

SETS = {
    "clair": [("It is 4.", "It is 5."), ("Yes, Rome.", "Yes, Paris.")],
    "stronger": [("The sum is four.", "It is 5."), ("Rome is meant.", "Yes, Paris.")],
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    found = {}
    for name, sides in SETS.items():
        path = tmp_path / f"{name}.jsonl"
        rows = [
            {"prompt": f"question {at}", "chosen": chosen, "rejected": rejected}
            for at, (chosen, rejected) in enumerate(sides)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        found[name] = str(path)
    return found


def test_the_table_sets_a_metric_of_all_sets_together(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", "--compare", *files.values()]) == 0
    captured = capsys.readouterr()
    lines = [line.split() for line in captured.out.splitlines() if "ndel similarity" in line]
    assert [line[2:4] for line in lines] == [["clair", "2"], ["stronger", "2"]]
    assert float(lines[0][4]) > float(lines[1][4])  # the minimal revision shares more
    assert "clair (imported): 2 pairs" in captured.out
    assert captured.err == ""


def test_json_has_every_metric(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", *files.values(), "--compare", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["sets"]] == ["clair", "stronger"]
    share = found["sets"][0]["metrics"]["edit_share_chosen"]
    # "It is 4." has 1 of 8 characters changed, "Yes, Rome." 4 of 10.
    assert share["n"] == 2
    assert share["mean"] == pytest.approx((1 / 8 + 4 / 10) / 2)
    assert share["low"] == pytest.approx(1 / 8)
    assert share["high"] == pytest.approx(4 / 10)
    assert found["shared_prompts"] == found["all_prompts"] == 2


def test_other_prompts_are_told(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "sub" / "clair.jsonl"
    other.parent.mkdir()
    other.write_text('{"prompt": "other", "chosen": "a b", "rejected": "a c"}\n')
    assert run(["score", "--compare", files["clair"], str(other)]) == 0
    captured = capsys.readouterr()
    assert "the sets share 0 of 3 prompts" in captured.err
    assert str(other) in captured.out.replace("\n", "")  # both are called clair


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "{clair}"], "two different sets"),
        (["--compare", "{clair}", "{clair}"], "two different sets"),
        (["--compare", "{clair}", "{stronger}", "-o", "out.jsonl"], "leave out -o"),
        (["{clair}", "{stronger}"], "one set of pairs is scored at a time"),
        ([], "Missing argument"),
    ],
)
def test_arguments(
    files: dict[str, str],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["score", *(each.format(**files) for each in arguments)]) == 2
    assert message in capsys.readouterr().err.replace("Leave", "leave")
