"""Read `pilot.yaml`: what a pilot is about, its files, and what each gate asks for."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clairkit.errors import DataError, UsageError
from clairkit.evaluation.config_table import ConfigTable, read_config_table
from clairkit.markup import asset
from clairkit.records import atomic_write
from clairkit.records.formats.strict_json import dump_line
from clairkit.records.formats.yaml_file import json_values
from clairkit.records.json_types import JsonMapping
from clairkit.texts import languages

FILE = "pilot.yaml"
FOLDER = "pilot/texts"

_MEASURES = ("check", "judge", "kpi", "votes")
_PERCENT = 100


@dataclass(frozen=True)
class Wanted:
    """What the gates ask for. Shares lie in [0, 1].

    Attributes:
        prompts: the fewest prompts to learn from.
        win_rate: the smallest win rate that would be worth having; it says how many held-out
            prompts are needed.
        usable: the lowest share of answers that the reviser corrects or leaves alone.
        agreement: the lowest share of people's labels that the rubric agrees with.
        pairs: the fewest pairs.
        contrastiveness: the lowest mean over the pairs.
    """

    prompts: float
    win_rate: float
    usable: float
    agreement: float
    pairs: float
    contrastiveness: float


@dataclass(frozen=True)
class Labelling:
    """How people's labels are asked for, and what is compared with them."""

    ask: int
    raters: tuple[str, ...]
    rubrics: tuple[str, ...]


@dataclass(frozen=True)
class Pilot:
    """A pilot's folder, and what its file says.

    Attributes:
        folder: where `pilot.yaml` stands; all files are named relative to it.
        title: of the pilot, a line.
        decision: what is to be decided, by whom and until when.
        language: of the memo, and of pages for raters.
        model: folder or Hub id of the model that is to be made better.
        reviser: spec of who corrects its answers.
        prompts: the file to learn from.
        held_out: the file to measure on.
        seeds: of the training runs, one each.
        runs: run directories, in the order of the seeds.
        wanted: what the gates ask for.
        labelling: of people.
        build, score, train, evaluate: further options of these commands, by their names.
    """

    folder: Path
    title: str
    decision: str
    language: str
    model: str
    reviser: str
    prompts: str
    held_out: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    wanted: Wanted
    labelling: Labelling
    build: JsonMapping
    score: JsonMapping
    train: JsonMapping
    evaluate: JsonMapping

    pairs = "pairs.jsonl"
    scored = "scored.jsonl"
    labels = "labels.jsonl"
    calibration = "calibration.json"
    evaluation = "eval"
    sweep = "sweep/sweep.json"
    decided = "decision.yaml"
    baseline = "base"

    @property
    def measures(self) -> list[str]:
        """Return by what answers are measured: names of `evaluate`'s options."""
        return [name for name in _MEASURES if self.evaluate.get(name)]

    @property
    def candidates(self) -> dict[str, str]:
        """Return the run directories by the names that the evaluation has for them."""
        names = ["tuned"] if len(self.runs) == 1 else [f"seed-{seed}" for seed in self.seeds]
        return dict(zip(names, self.runs, strict=True))

    @cached_property
    def judges(self) -> list[str]:
        """Return the specs of the judges."""
        given = self.evaluate.get("judge") or []
        return [str(each) for each in (given if isinstance(given, list) else [given])]


def find_pilot(folder: str) -> Pilot:
    """Return the pilot of a folder.

    Raises:
        UsageError: there is none.
        DataError: its file can't be read, or a key is unknown, missing or wrong.
    """
    if not (Path(folder) / FILE).is_file():
        raise UsageError(
            f"there is no {FILE}",
            received=folder,
            remedy=f"begin one: clairkit pilot init {shlex.quote(folder)}",
        )
    return read_pilot(read_config_table(Path(folder) / FILE), Path(folder))


def read_pilot(table: ConfigTable, folder: Path) -> Pilot:
    """Return what a pilot's file says.

    Raises:
        DataError: a key is unknown, missing or wrong.
    """
    seeds = _seeds(table)
    named = _texts(table, "runs")
    runs = named or tuple(f"runs/seed-{seed}" for seed in seeds)
    if len(runs) != len(seeds):
        raise table.error("as many runs as seeds are needed", "runs", received=len(runs))
    found = Pilot(
        folder=folder,
        title=table.text("title"),
        decision=table.text("decision", ""),
        language=table.choice("language", languages(FOLDER), "en"),
        model=table.text("model"),
        reviser=table.text("reviser"),
        prompts=table.text("prompts", "prompts.jsonl"),
        held_out=table.text("held_out", "held_out.jsonl"),
        seeds=seeds,
        runs=runs,
        wanted=_wanted(table.table("wanted")),
        labelling=_labelling(table.table("labels")),
        **{name: _options(table, name) for name in ("build", "score", "train", "evaluate")},
    )
    table.refuse_others()
    return found


def init_pilot(folder: Path, language: str) -> Path:
    """Write a `pilot.yaml` in which each field is explained, and return where it is.

    Args:
        folder: made when it is missing.
        language: of the comments.

    Raises:
        UsageError: there is one already.
    """
    path = folder / FILE
    if path.exists():
        remedy = f"edit it, then: clairkit pilot next {shlex.quote(str(folder))}"
        raise UsageError("the pilot is there already", received=str(path), remedy=remedy)
    with atomic_write(path) as file:
        file.write(asset(f"pilot/assets/pilot.{language}.yaml").encode())
    return path


def words_of(options: JsonMapping) -> list[str]:
    """Return options as the words of a command: `max_cost: 5` is `--max-cost 5`."""
    return [word for name, value in options.items() for word in _words(name, value)]


def _words(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    for each in value if isinstance(value, list) else [value]:
        if each is True:
            yield flag
        elif each is not None and each is not False:
            text = dump_line(each).decode().strip() if isinstance(each, dict) else str(each)
            yield from [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _wanted(table: ConfigTable) -> Wanted:
    def share(name: str, default: float) -> float:
        value = table.number(name, default, unit="%", above=True)
        if value >= _PERCENT:
            raise table.error("a percentage below 100 is needed", name, received=value)
        return value / _PERCENT

    found = Wanted(
        prompts=table.number("prompts", 100),
        win_rate=share("win_rate", 60),
        usable=share("usable", 80),
        agreement=share("agreement", 60),
        pairs=table.number("pairs", 100),
        contrastiveness=table.number("contrastiveness", 0.25),
    )
    if found.win_rate <= 0.5:
        raise table.error("a win rate above 50 is needed", "win_rate")
    table.refuse_others()
    return found


def _labelling(table: ConfigTable) -> Labelling:
    found = Labelling(
        ask=int(table.number("ask", 60, above=True)),
        raters=_texts(table, "raters") or ("A", "B", "C"),
        rubrics=_texts(table, "rubrics") or ("general",),
    )
    table.refuse_others()
    return found


def _seeds(table: ConfigTable) -> tuple[int, ...]:
    given = table.get("seeds")
    seeds = given if isinstance(given, list) else [0] if given is None else [given]
    if not seeds or len(set(map(str, seeds))) < len(seeds) or not all(map(_is_seed, seeds)):
        remedy = "write different whole numbers, such as [0, 1, 2]"
        raise table.error("no list of seeds", "seeds", received=given, remedy=remedy)
    return tuple(seeds)


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(table: ConfigTable, key: str) -> tuple[str, ...]:
    given = table.get(key)
    values: Sequence[object] = given if isinstance(given, list) else [given] if given else []
    if not all(isinstance(value, str | int) for value in values):
        raise table.error("a list of texts is needed", key, received=given)
    return tuple(map(str, values))


def _options(table: ConfigTable, key: str) -> JsonMapping:
    given = table.get(key)
    if given is None:
        return {}
    if not isinstance(given, dict):
        remedy = "write lines such as `max_cost: 5`"
        raise DataError(f"{key}: no mapping of options", path=table.path, remedy=remedy)
    found: JsonMapping = json_values({str(name): value for name, value in given.items()})
    return found
