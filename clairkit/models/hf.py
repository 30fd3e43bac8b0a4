"""Run `hf:ID_OR_PATH`, a transformers model in this process, as target or reviser."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.batching.chat_settings import ChatSettings, run_chat_settings
from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.hub_access import check_model_there
from clairkit.models.outcomes import marks_identity
from clairkit.models.reasons import HALTED
from clairkit.models.requests import Budget, Task
from clairkit.models.sampling import Failure, Outcome
from clairkit.models.threads import in_thread
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

if TYPE_CHECKING:
    from clairkit.models.local import LocalModel

_CHUNK = 2**22
_WAVES = 4  # rows of one call for each that runs at once: more are more to lose by a kill
# What decides a folder's replies: weights, configuration, tokenizer, chat template.
_SUFFIXES = frozenset((".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"))


class HfModel:
    """Runs one call at a time, in a thread: of more rows than run at once, so that slots stay full.

    Args:
        id_or_path: a folder or a Hub id; loaded when the first row is asked for.
        batch_size: how many rows run at once.
        marks: of the thoughts before an answer.
        chat: how conversations are rendered; what it doesn't give, a run directory does.
    """

    is_function = False
    is_local = True  # in this process's memory, which the next model may need
    concurrency = 1

    def __init__(
        self,
        id_or_path: str,
        *,
        batch_size: int = 16,
        marks: Marks = THOUGHT_MARKS,
        chat: ChatSettings | None = None,
    ) -> None:
        if not id_or_path:
            raise UsageError("the model has no name", remedy="write hf:FOLDER or hf:ORG/NAME")
        self.name = f"hf:{id_or_path}"
        self.batch_size = batch_size * _WAVES
        self._rows = batch_size
        self._source = id_or_path
        self._marks = marks
        self._chat = (chat or ChatSettings()).over(run_chat_settings(id_or_path))
        self._model: LocalModel | None = None

    @cached_property
    def identity(self) -> JsonMapping:
        folder = Path(self._source)
        more = {**marks_identity(self._marks), **self._chat.changed()}
        if folder.is_dir():
            return {"kind": "hf", "files": _folder_hash(folder), **more}
        return {"kind": "hf", "id": self._source, "revision": _revision(self._source), **more}

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        parts = (tasks[at : at + self._rows] for at in range(0, len(tasks), self._rows))
        within = takewhile(lambda part: budget.take(len(part)), parts)
        taken = [task for part in within for task in part]
        # a cap that ends the run lets what it allowed be made; a signal, nothing that has not begun
        is_whole = len(taken) == len(tasks)
        made = await in_thread(self._run, taken, lambda: is_whole and budget.halted)
        return [*made, *[Failure(HALTED)] * (len(tasks) - len(taken))]

    def _run(self, tasks: Sequence[Task], is_halted: Callable[[], bool]) -> list[Outcome]:
        if not tasks:
            return []
        if self._model is None:
            self._model = _load(self._source, self._rows, self._marks, self._chat)
        made: dict[str, Outcome] = {}
        fitting = []
        for task in tasks:
            try:
                if self._model.room(task.messages):
                    fitting.append(task)
            except DataError as error:  # the template takes other rows
                made[task.key] = Failure("template_refused", excerpt(error.problem, 300))
        if fitting:
            replies = self._model.stream(
                [task.messages for task in fitting],
                [task.seed_key for task in fitting],
                fitting[0].sampling,
                is_halted,
            )
            made |= {task.key: Failure(HALTED) for task in fitting}
            made |= {fitting[place].key: reply for place, reply in replies}
        too_long = Failure("too_long", "the prompt fills the model's context")
        return [made.get(task.key, too_long) for task in tasks]

    async def close(self) -> None:
        if self._model is None:
            return
        self._model = None
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _load(source: str, batch_size: int, marks: Marks, chat: ChatSettings) -> LocalModel:
    """Load without the library's bars, which would run through our own progress line."""
    check_model_there(source)
    from transformers.utils import logging

    from clairkit.models.local import LocalModel

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return LocalModel.load(source, batch_size=batch_size, marks=marks, chat=chat)
    finally:
        if shown:
            logging.enable_progress_bar()


def _folder_hash(folder: Path) -> str:
    """The hash of a model folder's files: the same model elsewhere is the same model."""
    total = hashlib.sha256()
    for file in sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES):
        own = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                own.update(chunk)
        total.update(f"{file.name}\0{own.hexdigest()}\0".encode())
    return total.hexdigest()[:32]


def _revision(hub_id: str) -> str | None:
    """The commit of a Hub model."""
    check_model_there(hub_id)
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(hub_id)
    except (OSError, ValueError) as error:
        first = excerpt(str(error).strip().partition("\n")[0], 200)
        remedy = "give a folder in transformers format, or a Hub id that can be reached"
        raise UsageError(
            f"there is no such model ({first})", received=hub_id, remedy=remedy
        ) from error
    commit: str | None = getattr(config, "_commit_hash", None)
    return commit
