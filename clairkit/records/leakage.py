"""Find out whether evaluation prompts were trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clairkit.records.output import atomic_write
from clairkit.records.schema import Pair, PromptRow, digest
from clairkit.records.stream import DigestSet

_EXAMPLES = 5
_TRAINED = "trained_prompts.txt"


@dataclass(frozen=True)
class Leakage:
    """How many evaluation rows have a prompt that is also in the training rows."""

    shared: int
    total: int
    examples: tuple[str, ...]
    """The ids of the first few of them."""

    def __bool__(self) -> bool:
        return self.shared > 0


def leakage(train: Iterable[Pair | PromptRow], evaluation: Iterable[Pair | PromptRow]) -> Leakage:
    """Count the rows of `evaluation` whose prompt is in `train`.

    Prompts are the same when their roles and texts are, apart from white space at the ends of a
    text. Either side may be a stream; about 20 bytes are held for each training prompt.
    """
    known = DigestSet()
    for row in train:
        known.add(prompt_digest(row))
    shared = total = 0
    examples: list[str] = []
    for row in evaluation:
        total += 1
        if prompt_digest(row) in known:
            shared += 1
            examples += [row.id] if len(examples) < _EXAMPLES else []
    return Leakage(shared, total, tuple(examples))


def write_trained_prompts(run: Path, digests: Iterable[int]) -> None:
    """Write into a run directory which prompts it trained on, as digests, a line each."""
    with atomic_write(run / _TRAINED) as file:
        file.writelines(f"{digest:016x}\n".encode() for digest in sorted(digests))


def forget_trained_prompts(run: Path) -> None:
    """Remove what a run directory says of prompts: those of an earlier run."""
    (run / _TRAINED).unlink(missing_ok=True)


def read_trained_prompts(model: Path) -> frozenset[int] | None:
    """Return the digests of the prompts that a model was trained on; None when nothing says so.

    Args:
        model: a run directory of `clairkit train`, or a checkpoint or merged model within it.
    """
    for folder in (model, model.parent):
        try:
            lines = (folder / _TRAINED).read_text(encoding="ascii").split()
            return frozenset(int(line, 16) for line in lines)
        except (OSError, ValueError):
            continue
    return None


def prompt_digest(row: Pair | PromptRow) -> int:
    """Return 64 bits that stand for the row's prompt."""
    turns = [[turn["role"], turn["content"].strip()] for turn in row.prompt]
    return int(digest(turns)[:16], 16)
