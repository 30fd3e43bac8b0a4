"""Judge all gates of a pilot, and say what comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clairkit.pilot.evidence import Files
from clairkit.pilot.gates import Gate, pairs_gate, prompts_gate, revisions_gate, rubric_gate
from clairkit.pilot.model_gates import decision_gate, evaluation_gate, training_gate
from clairkit.pilot.overrides import Override, covering, read_overrides
from clairkit.pilot.pilot_file import FOLDER, Pilot
from clairkit.records.json_types import JsonObject
from clairkit.texts import texts

SCHEMA = 1

GATES: tuple[Callable[[Pilot, Files], Gate], ...] = (
    prompts_gate,
    revisions_gate,
    rubric_gate,
    pairs_gate,
    training_gate,
    evaluation_gate,
    decision_gate,
)


@dataclass(frozen=True)
class Survey:
    """A pilot as its files show it.

    Attributes:
        pilot: whose.
        files: what was read.
        gates: all seven, in order.
        overrides: all that were noted, the oldest first.
    """

    pilot: Pilot
    files: Files
    gates: tuple[Gate, ...]
    overrides: tuple[Override, ...]

    def override(self, gate: Gate) -> Override | None:
        """Return the override that lets the pilot past a gate as it stands."""
        return covering(self.overrides, gate)

    def is_open(self, gate: Gate) -> bool:
        """Return whether a gate holds the road up."""
        return gate.state != "passed" and self.override(gate) is None

    @property
    def current(self) -> Gate | None:
        """Return the first gate that holds the road up; None at its end."""
        return next((gate for gate in self.gates if self.is_open(gate)), None)

    def to_json(self) -> JsonObject:
        """Return the gates as `pilot status --json` has them."""
        current = self.current
        return {
            "schema": SCHEMA,
            "pilot": str(self.pilot.folder),
            "title": self.pilot.title,
            "gates": [self._gate(gate) for gate in self.gates],
            "overrides": [asdict(each) for each in self.overrides],
            "current": None if current is None else current.number,
        }

    def _gate(self, gate: Gate) -> JsonObject:
        override = self.override(gate)
        return {
            "gate": gate.number,
            "name": gate_name(gate.number),
            "state": gate.state,
            "reason": reason_text(gate),
            "reason_key": gate.reason,
            "overridden": None if override is None else asdict(override),
            "evidence": [figure.to_json() for figure in gate.evidence],
        }


def survey(pilot: Pilot) -> Survey:
    """Return what a pilot's files show now.

    Raises:
        DataError: a file is damaged.
    """
    files = Files(pilot.folder)
    gates = tuple(judge(pilot, files) for judge in GATES)
    return Survey(pilot, files, gates, tuple(read_overrides(pilot.folder)))


def gate_name(number: int, code: str = "en") -> str:
    """Return a gate's name in a language."""
    names: list[str] = words(code)["gates"]
    return names[number - 1]


def reason_text(gate: Gate, code: str = "en") -> str:
    """Return why a gate stands as it does, in a language."""
    reasons: Mapping[str, str] = words(code)["reasons"]
    return reasons[gate.reason].format(**gate.values)


def words(code: str) -> Mapping[str, Any]:
    """Return the texts of a language."""
    return texts(FOLDER, code)
