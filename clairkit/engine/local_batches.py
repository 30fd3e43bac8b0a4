"""Collect the calls of models in this process until all of a stage are there.

Batches are formed over every call of a group, those that the journal already has included, so that
a resumed run has the same batches, and with them the same replies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from clairkit.engine.program import Call
from clairkit.models.requests import Model, Task
from clairkit.models.sampling import Sampling

_Place = tuple[int, str, str]  # stage, step, model


def waits_for_batch(model: Model) -> bool:
    """Return whether a model's calls wait for each other: for batches, or for its memory."""
    return model.batch_size > 1 or getattr(model, "is_local", False)


@dataclass
class LocalGroup:
    """The calls of one step that one local model takes together."""

    stage: int
    step: str
    model: Model
    tasks: dict[str, Task] = field(default_factory=dict)
    """By key: all calls, those that are in the journal, too."""
    open: set[str] = field(default_factory=set)
    """The keys of those that are to be made."""

    def batches(self) -> Iterator[Sequence[Task]]:
        """Yield the batches with an open call: of one kind of sampling, of like length."""
        kinds: dict[Sampling, list[Task]] = {}
        for task in self.tasks.values():
            kinds.setdefault(task.sampling, []).append(task)
        size = self.model.batch_size

        def order(task: Task) -> tuple[int, str]:
            return -sum(len(turn["content"]) for turn in task.messages), task.key

        for tasks in kinds.values():
            tasks.sort(key=order)
            for start in range(0, len(tasks), size):
                batch = tasks[start : start + size]
                if any(task.key in self.open for task in batch):
                    yield batch


class LocalBatches:
    """Collects the calls of local models."""

    def __init__(self) -> None:
        self._groups: dict[_Place, LocalGroup] = {}
        self.is_used = False

    def add(self, call: Call, *, is_open: bool) -> None:
        """Note a call; an open one is to be made by its group."""
        self.is_used = True
        place = (call.stage, call.step, call.model.name)
        group = self._groups.setdefault(place, LocalGroup(call.stage, call.step, call.model))
        group.tasks[call.task.key] = call.task
        if is_open:
            group.open.add(call.task.key)

    @property
    def next_stage(self) -> int | None:
        """The lowest stage with an open call."""
        return min((place[0] for place, group in self._groups.items() if group.open), default=None)

    def take(self) -> LocalGroup:
        """Return the next group; it is no longer here."""
        place = min(place for place, group in self._groups.items() if group.open)
        return self._groups.pop(place)

    def needs(self, model: Model) -> bool:
        """Whether a call of this model waits."""
        return any(group.model is model and group.open for group in self._groups.values())

    def clear(self) -> None:
        """Forget the calls of a block of rows that is done."""
        self._groups.clear()
