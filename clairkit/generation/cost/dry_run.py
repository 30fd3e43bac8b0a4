"""Predict what a run would take (`--dry-run`), with or without probes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial

from clairkit.engine.driver import run_works
from clairkit.engine.program import Method
from clairkit.engine.progress import ProgressHook
from clairkit.errors import UsageError
from clairkit.generation.cost.estimate import Estimate, choose_probes, estimate
from clairkit.generation.engine import Prompts, Say, load_rows, make_budget
from clairkit.generation.settings import BuildSettings
from clairkit.journal.files import output_path
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, journal_path
from clairkit.journal.row_index import kept_rows
from clairkit.models.budget import Budget
from clairkit.records.output import OutputPath


@dataclass(frozen=True)
class DryRun:
    """What a run still takes, and what it took.

    Attributes:
        estimate: of the calls that are still to come.
        spent: US$ of those that the journal has; None when a model has no price.
        budget: says what stopped the probes; None when nothing was asked.
    """

    estimate: Estimate
    spent: float | None
    budget: Budget | None = None


def dry_run(
    prompts: Prompts,
    method: Method,
    output: OutputPath,
    *,
    settings: BuildSettings,
    probes: int = 0,
    force: bool = False,
    progress: ProgressHook | None = None,
    say: Say | None = None,
) -> DryRun:
    """Estimate what a run takes. Without probes nothing is asked and no file is made.

    Rows that the output's journal has already are measured, and what they took corrects the
    forecast for the others. Probes are such rows: some drawn at random, asked as the run itself
    would, with its caps, and journalled, so that the run need not ask them again.

    Args:
        prompts: as in `build_pairs`.
        method: as `make_build` returns it.
        output: the output of the run.
        settings: those of the run.
        probes: how many rows to ask, if they are not done.
        force: as in `build_pairs`.
        progress: called after each result of a probe.
        say: told remarks for the user.

    Raises:
        UsageError: `probes` is negative.
    """
    if probes < 0:
        raise UsageError("probes must be at least 0", received=probes)
    rows = load_rows(prompts, method)
    prices = settings.prices or Prices()
    path = output_path(output, force=True)
    has_journal = journal_path(path).exists()
    if not probes and not has_journal:
        return DryRun(estimate(rows, method, prices), 0.0)
    if probes:
        output_path(output, force=force)
    budget = None
    with closing(Journal(path)) as journal:
        if probes:
            if settings.max_cost is not None:
                prices.require(model.name for model in method.models.values())
            journal.settle(method.settings(), force=force)
            budget = make_budget(settings, prices, journal)
            chosen = choose_probes(kept_rows(rows, journal.path), probes)
            works = [partial(method.program, row) for row in chosen]
            run_works(works, journal, budget, progress=progress, say=say, total=len(works))
        made = estimate(kept_rows(rows, journal.path), method, prices, journal)
        return DryRun(made, prices.cost_of(journal.usage_by_model()), budget)
