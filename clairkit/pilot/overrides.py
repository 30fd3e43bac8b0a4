"""Keep who let a pilot past a gate, why, and what the gate had said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from clairkit.errors import DataError, UsageError
from clairkit.pilot.evidence import parsed
from clairkit.pilot.gates import Gate
from clairkit.records import atomic_write
from clairkit.records.formats.strict_json import dump_line

FILE = "overrides.jsonl"


@dataclass(frozen=True)
class Override:
    """A decision to go past a gate.

    Attributes:
        gate: its number.
        state: of the gate then: failed or waiting.
        reason: key of what the gate said then.
        who: decided.
        why: in their words.
        when: in UTC.
    """

    gate: int
    state: str
    reason: str
    who: str
    why: str
    when: str

    def covers(self, gate: Gate) -> bool:
        """Return whether the gate still says what was overridden: something else is new."""
        return (self.gate, self.state, self.reason) == (gate.number, gate.state, gate.reason)


def read_overrides(folder: Path) -> list[Override]:
    """Return all overrides of a pilot, the oldest first.

    Raises:
        DataError: a line is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return []
    found = []
    for at, line in enumerate(path.read_bytes().splitlines(), 1):
        row = parsed(line)
        try:
            texts = [str(row[name]) for name in ("state", "reason", "who", "why", "when")]
            found.append(Override(int(row["gate"]), *texts))
        except (KeyError, TypeError, ValueError):
            remedy = "put the file back as it was"
            raise DataError("is no override", path=path, line=at, remedy=remedy) from None
    return found


def add_override(folder: Path, gate: Gate, who: str, why: str) -> Override:
    """Note that somebody lets the pilot past a gate, and return it.

    Args:
        folder: of the pilot.
        gate: as it stands.
        who: decides.
        why: a reason that the memo will show.

    Raises:
        UsageError: the gate has passed, cannot be overridden, or a text is blank.
    """
    if gate.state == "passed":
        raise UsageError("the gate has passed; there is nothing to override", received=gate.number)
    if gate.number == 7:
        remedy = "have somebody decide, and write decision.yaml"
        raise UsageError("the decision itself cannot be overridden", received=7, remedy=remedy)
    if not why.strip() or not who.strip():
        raise UsageError("an override needs a name and a reason", remedy='give --why "…"')
    when = datetime.now(UTC).isoformat(timespec="seconds")
    made = Override(gate.number, gate.state, gate.reason, who.strip(), why.strip(), when)
    with atomic_write(folder / FILE) as file:
        for each in (*read_overrides(folder), made):
            file.write(dump_line(asdict(each)))
    return made


def covering(overrides: Sequence[Override], gate: Gate) -> Override | None:
    """Return the newest override that covers a gate as it stands."""
    return next((each for each in reversed(overrides) if each.covers(gate)), None)
