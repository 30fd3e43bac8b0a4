"""Read what a page is made of: pairs, what `build-pairs` left beside them, runs, evaluations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.records import ColumnChoice, Pair, read_pairs
from clairkit.records.json_types import JsonMapping
from clairkit.records.read import AS_NAMED
from clairkit.report.evaluated import Evaluated, is_evaluation, read_evaluation, read_object

_METRICS, _RUN = "metrics.jsonl", "run.json"
_ANEW = "make it anew, or move it away"
_EXAMPLES = 3  # quarantined rows that a reason is shown with
_EXCERPT = 240  # characters of each of their texts


@dataclass(frozen=True)
class Reasons:
    """Rows that became no pair for one reason, and a few of them: (id, prompt, detail)."""

    code: str
    count: int
    examples: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Build:
    """All that `build-pairs` left beside a file of pairs."""

    name: str  # of the file
    entry: JsonMapping  # the manifest's line of the last build; empty when there is no manifest
    reasons: Sequence[Reasons]  # of the quarantine file, the most frequent first
    health: JsonMapping | None  # the reviser's health card, None when it was not probed


@dataclass(frozen=True)
class Run:
    """A training run: its folder's name, `run.json`, and the rows of `metrics.jsonl`."""

    name: str
    facts: JsonMapping
    rows: Sequence[JsonMapping]


@dataclass(frozen=True)
class Gathered:
    """All of it. `pairs` are sorted by id; `files` has the file of each, by id.

    `names` are those of the sources, sorted.
    """

    pairs: Sequence[Pair]
    files: Mapping[str, str]
    builds: Sequence[Build]
    runs: Sequence[Run]
    skipped: Mapping[str, int]
    names: Sequence[str]


def gather(
    sources: Sequence[str], *, skip_bad: bool = False, columns: ColumnChoice = AS_NAMED
) -> Gathered:
    """Read pair files and run directories, in any order.

    A pair that is in several files (as in the one that `score` wrote) is one pair: texts come
    from the first that has it, scores and provenance from all.

    Args:
        sources: pair files, `datasets` folders or Hub ids, and run directories of `train`.
        skip_bad: leave out unreadable rows, and count them.
        columns: what the columns of the pair files are.

    Raises:
        DataError: a source is missing or bad.
        UsageError: no source holds pairs.
    """
    pairs: dict[str, Pair] = {}
    files: dict[str, str] = {}
    builds, runs = [], []
    skipped: Counter[str] = Counter()
    for source in sources:
        if _is_run(Path(source)):
            runs.append(_run(Path(source)))
            continue
        stream = read_pairs(source, skip_bad=skip_bad, columns=columns)
        for pair in stream:
            known = pairs.get(pair.id)
            pairs[pair.id] = pair if known is None else _joined(known, pair)
            files.setdefault(pair.id, Path(source).absolute().name)
        skipped.update(stream.skipped)
        builds += _builds(Path(source).absolute())
    if not pairs:
        raise UsageError(
            "no pairs to show",
            received=" ".join(run.name for run in runs),
            remedy="name a file of pairs, too",
        )
    names = sorted({Path(source).absolute().name for source in sources})
    ordered = [pairs[key] for key in sorted(pairs)]
    return Gathered(ordered, files, builds, runs, dict(skipped), names)


def gather_evaluation(sources: Sequence[str]) -> tuple[Evaluated, list[Run]] | None:
    """Read an evaluation and the training runs named beside it; None where there is none.

    Raises:
        DataError: a source is bad.
        UsageError: there are two, or pairs beside it.
    """
    found = [Path(source) for source in sources if is_evaluation(Path(source))]
    if not found:
        return None
    others = [Path(source) for source in sources if Path(source) not in found]
    strange = [path for path in others if not _is_run(path)] or found[1:]
    if strange:
        raise UsageError(
            "a page shows one evaluation, and training runs beside it",
            received=str(strange[0]),
            remedy="make a page of its own of it",
        )
    return read_evaluation(found[0]), [_run(path) for path in others]


def _joined(first: Pair, second: Pair) -> Pair:
    return replace(
        first,
        rationale=first.rationale if first.rationale is not None else second.rationale,
        scores={**first.scores, **second.scores},
        provenance={**first.provenance, **second.provenance},
        extra={**first.extra, **second.extra},
    )


def _is_run(path: Path) -> bool:
    return path.is_dir() and (any((path / name).exists() for name in (_METRICS, _RUN)))


def _run(path: Path) -> Run:
    # Not by `training.run_directory.files`, which brings transformers: seconds for two files.
    metrics, facts = path / _METRICS, path / _RUN
    if not metrics.exists():
        raise DataError(
            "the run has no metrics",
            path=metrics,
            remedy="name a run directory of `clairkit train`",
        )
    rows = []
    for line in metrics.read_text(encoding="utf-8", errors="replace").split("\n"):
        with suppress(ValueError, RecursionError):  # what a kill tore is left out
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(row)
    return Run(path.absolute().name, read_object(facts, _ANEW) if facts.exists() else {}, rows)


def _builds(path: Path) -> list[Build]:
    from clairkit.journal.files import rows_of
    from clairkit.journal.manifest import (
        chain_problem,
        manifest_path,
        quarantine_path,
        read_manifest,
    )

    manifest, quarantine = manifest_path(path), quarantine_path(path)
    health = path.with_name(f"{path.name}.health.json")
    if not any(each.is_file() for each in (manifest, quarantine, health)):
        return []
    entries = read_manifest(path) if manifest.is_file() else []
    if problem := chain_problem(entries):
        raise DataError(
            f"the manifest can't be trusted: {problem}",
            path=manifest,
            remedy=f"ask `clairkit verify {path}`, or move it away",
        )
    made = next((entry for entry in reversed(entries) if "settings" in entry), {})
    reasons = _reasons(rows_of(quarantine)) if quarantine.is_file() else []
    return [
        Build(path.name, made, reasons, read_object(health, _ANEW) if health.is_file() else None)
    ]


def _reasons(rows: Iterable[JsonMapping]) -> list[Reasons]:
    counts: Counter[str] = Counter()
    examples: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        code = str(row.get("reason"))
        counts[code] += 1
        if len(examples.setdefault(code, [])) < _EXAMPLES:
            texts = (row.get("id"), _last_turn(row.get("prompt")), row.get("detail"))
            examples[code].append(_three(texts))
    return [Reasons(code, count, examples[code]) for code, count in counts.most_common()]


def _three(texts: tuple[Any, Any, Any]) -> tuple[str, str, str]:
    first, second, third = (excerpt("" if text is None else str(text), _EXCERPT) for text in texts)
    return first, second, third


def _last_turn(prompt: Any) -> Any:
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], Mapping):
        return prompt[-1].get("content")
    return prompt
