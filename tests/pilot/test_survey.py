"""The road: which gate is open, what an override covers, and the JSON of it all."""

from __future__ import annotations

from pathlib import Path

import pytest
from pilot_folders import calibrated, judged, look

from clairkit.errors import DataError, UsageError
from clairkit.pilot.overrides import FILE, add_override, read_overrides
from clairkit.pilot.survey import GATES


def test_the_quickstart_ends_at_the_decision(folder: Path) -> None:
    found = look(folder)
    judged(folder, "SHIP")
    assert found.override(found.gates[2]) is not None
    current = look(folder).current
    assert current is not None
    assert current.number == 7


def test_an_override_covers_what_the_gate_said_and_nothing_new(folder: Path) -> None:
    (folder / FILE).unlink()
    found = look(folder)
    made = add_override(folder, found.gates[2], "Sato", " no people here ")
    assert made.why == "no people here"
    assert look(folder).override(found.gates[2]) == made
    calibrated(folder, "rubric general", share=0.5)
    after = look(folder)
    assert after.gates[2].state == "failed"
    assert after.override(after.gates[2]) is None
    assert after.current is after.gates[2]
    assert after.overrides == (made,)


def test_the_newest_override_speaks(folder: Path) -> None:
    gate = look(folder).gates[2]
    add_override(folder, gate, "Sato", "second")
    found = look(folder).override(gate)
    assert found is not None
    assert (found.who, found.why) == ("Sato", "second")
    assert len(read_overrides(folder)) == 2


@pytest.mark.parametrize(
    ("number", "who", "why", "said"),
    [
        (1, "Sato", "why", "has passed"),
        (7, "Sato", "why", "cannot be overridden"),
        (3, "Sato", " ", "a name and a reason"),
        (3, "", "why", "a name and a reason"),
    ],
)
def test_what_cannot_be_overridden(
    folder: Path, number: int, who: str, why: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        add_override(folder, look(folder).gates[number - 1], who, why)


def test_a_damaged_override_is_named_with_its_line(folder: Path) -> None:
    with (folder / FILE).open("a") as file:
        file.write('{"gate": 3}\n')
    with pytest.raises(DataError, match=rf"{FILE}:2"):
        look(folder)


def test_the_json_of_status_is_pinned(folder: Path) -> None:
    found = look(folder).to_json()
    assert list(found) == ["schema", "pilot", "title", "gates", "overrides", "current"]
    assert found["schema"] == 1
    assert [each["gate"] for each in found["gates"]] == list(range(1, len(GATES) + 1))
    for each in found["gates"]:
        assert list(each) == [
            *("gate", "name", "state", "reason", "reason_key", "overridden", "evidence")
        ]
        for figure in each["evidence"]:
            assert list(figure) == [
                *("figure", "value", "file", "sha256", "n", "low", "high", "level", "unit"),
                *("name", "status"),
            ]
    assert list(found["overrides"][0]) == ["gate", "state", "reason", "who", "why", "when"]
