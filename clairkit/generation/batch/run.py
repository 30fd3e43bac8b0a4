"""Run by batch files, at half the price.

A batch asks what is open now. What depends on its replies, as a revision does on an answer, is in
the next one: export, upload, import, until nothing is open.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clairkit.engine.driver import run_works
from clairkit.engine.program import Call, Method, Quarantined
from clairkit.engine.progress import ProgressHook
from clairkit.engine.replay import Work
from clairkit.errors import UsageError
from clairkit.generation.batch.file import BatchFile, can_batch, write_batches
from clairkit.generation.batch.rounds import Imported, import_batches, local_part, open_calls
from clairkit.generation.engine import Prompts, Say, load_rows, make_budget
from clairkit.generation.export import BuildResult, export
from clairkit.generation.settings import BuildSettings
from clairkit.journal.files import output_path
from clairkit.journal.manifest import check_sealed
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal
from clairkit.journal.row_index import RowIndex, kept_rows
from clairkit.models.budget import Budget
from clairkit.records import Pair, PromptRow, check_output
from clairkit.records.output import OutputPath

_EXPORTED = "batch_export"  # in the journal: the last export that nothing was imported after


@dataclass(frozen=True)
class Exported:
    """What is to be uploaded, and what is not in it: open calls of models in this process."""

    files: tuple[BatchFile, ...]
    waiting: Mapping[str, int]
    """Calls that this process could not make, as after an interruption, by model."""
    earlier: str | None
    """The file of an export before this one that nothing was imported after."""
    budget: Budget | None = None
    """Says what stopped the calls in this process; None when there were none to make."""


def export_batch(
    prompts: Prompts,
    method: Method,
    output: OutputPath,
    file: str | Path,
    *,
    settings: BuildSettings,
    force: bool = False,
    progress: ProgressHook | None = None,
    say: Say | None = None,
) -> Exported:
    """Write what a run asks next of OpenAI-compatible servers to batch files; ask them nothing.

    Calls of models in this process are made first, as far as they do not depend on the batch.

    Args:
        prompts: as in `build_pairs`.
        method: as `make_build` returns it.
        output: the output of the run; its journal is made when there is none.
        file: the batch file; when it takes several, the others have a number in their name.
        settings: those of the run.
        force: replace existing batch files; go on with other settings than before.
        progress: called after each result of a model in this process.
        say: told remarks for the user.

    Raises:
        UsageError: no model of the method can be asked by a batch file, or a cap is set that
            nobody keeps there.
    """
    if not any(map(can_batch, method.models.values())):
        names = ", ".join(model.name for model in method.models.values())
        raise UsageError(
            "no model can be asked by a batch file",
            received=names,
            remedy="only openai: models can",
        )
    if settings.max_cost is not None or settings.max_calls is not None:
        remedy = "see what --dry-run says, and take fewer rows by --limit"
        raise UsageError(
            "a cap can't be kept within a batch", received="max_cost or max_calls", remedy=remedy
        )
    path = output_path(output, force=force)
    check_output(file, force=force)
    rows = load_rows(prompts, method)
    waiting: Counter[str] = Counter()
    budget = None

    def requests(journal: Journal) -> Iterator[Call]:
        for call in open_calls(_works(rows, method, journal), journal):
            if can_batch(call.model):
                yield call
            else:
                waiting[call.model.name] += 1

    with closing(_open_journal(path, method, force=force)) as journal:
        if not all(map(can_batch, method.models.values())):
            budget = make_budget(settings, settings.prices or Prices(), journal)
            parts = (local_part(work, journal) for work in _works(rows, method, journal))
            total = sum(1 for _ in rows)
            run_works(parts, journal, budget, progress=progress, say=say, total=total)
        files = write_batches(file, requests(journal), force=force)
        earlier = journal.meta(_EXPORTED)
        if files:
            journal.set_meta(_EXPORTED, str(files[0].path))
        return Exported(files, waiting, earlier if files else None, budget)


def import_batch(
    prompts: Prompts,
    method: Method,
    output: OutputPath,
    files: Sequence[str | Path],
    *,
    settings: BuildSettings,
    force: bool = False,
) -> tuple[Imported, BuildResult]:
    """Record what batches left, and write the pairs as far as they are there. Asks nothing.

    Args:
        prompts: as for the export, like all others.
        method: as `make_build` returns it.
        output: the output of the run.
        files: see `import_batches`.
        settings: those of the run.
        force: go on with other settings than before.
    """
    started = time.monotonic()
    rows = load_rows(prompts, method)
    path = output_path(output, force=force)
    prices = settings.prices or Prices()
    with closing(_open_journal(path, method, force=force)) as journal:
        imported = import_batches(
            files, partial(_works, rows, method, journal), journal, settings.models.thought_marks
        )
        journal.set_meta(_EXPORTED, None)
        budget = make_budget(settings, prices, journal)
        return imported, export(rows, method, journal, budget, path, prices=prices, started=started)


def _works(
    rows: Iterable[PromptRow], method: Method, journal: Journal
) -> Iterator[Work[Pair | Quarantined]]:
    return (partial(method.program, row) for row in kept_rows(rows, journal.path))


def _open_journal(path: Path, method: Method, *, force: bool) -> Journal:
    journal = Journal(path)
    try:
        journal.settle(method.settings(), force=force)
        RowIndex(journal.path).close()
        check_sealed(path)
    except BaseException:
        journal.close()
        raise
    return journal
