"""Ask the models the held-out prompts, and keep every reply in the pilot's evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clairkit.evaluation.answering import LoadedModel
from clairkit.evaluation.comparison import Comparison, Contestant, ask_all
from clairkit.evaluation.evaluate import Scorer, counted
from clairkit.evaluation.evidence import Evidence, GuardRun, own_prompts
from clairkit.evaluation.folder import journal_base
from clairkit.evaluation.guards import GuardSpec
from clairkit.evaluation.run import Plan, conclude, journal_of, write
from clairkit.journal.results import Journal
from clairkit.models.budget import Budget
from clairkit.models.local import LocalModel
from clairkit.models.specs import make_model
from clairkit.quickstart import task
from clairkit.quickstart.stations import BATCH_ROWS, BILLS, SUMS, QuickstartPlan, Skills
from clairkit.records import read_prompts

EVALUATION = "eval"
BASE, TUNED = "base", "tuned"
CHECK, CHECK_SUM = "python:clairkit.quickstart:check", "python:clairkit.quickstart:check_sum"
GUARD, MARGIN = "sums", 0.04


class HeldOut:
    """Bills to measure on, and sums that must not get worse.

    Args:
        plan: with the sampling.
        folder: where the prompts lie.
        journal: of the evaluation.
    """

    def __init__(self, plan: QuickstartPlan, folder: Path, journal: Journal) -> None:
        self._folder, self._journal = folder, journal
        self._comparison = Comparison((), plan.sampling())
        self._bills = tuple(sorted(read_prompts(str(folder / BILLS)), key=lambda row: row.id))
        self._sums = own_prompts(sorted(read_prompts(str(folder / SUMS)), key=lambda row: row.id))
        self._checks = Scorer(task.check), Scorer(task.check_sum)

    def measure(self, name: str, model: str) -> Skills:
        """Ask a further model; the first one is the baseline."""
        # On the CPU everywhere, and known by the digest of its weights.
        local = LoadedModel(LocalModel.load(model, device="cpu", batch_size=BATCH_ROWS))
        named = make_model(f"hf:{model}")
        local.identity, local.name = named.identity, named.name
        known = self._comparison.contestants
        asked = Contestant(name, f"hf:{model}", local, is_baseline=not known)
        self._comparison = replace(self._comparison, contestants=(*known, asked))
        found = []
        for rows, check in zip((self._bills, self._sums), self._checks, strict=True):
            answered = ask_all(self._comparison, rows, self._journal, Budget())
            answered.raise_stopped()
            found.append(counted(check, answered.results, name))
        return Skills(*found)

    def write(self) -> None:
        """Write the folder of the evaluation, as `clairkit evaluate -o` does."""
        bills, sums = self._checks
        guard = GuardSpec(GUARD, "check", CHECK_SUM, MARGIN, SUMS)
        guards = (GuardRun(guard, self._comparison, self._sums, None, sums),)
        plan = Plan(
            self._comparison,
            self._bills,
            str(self._folder / BILLS),
            scorer=bills,
            check=CHECK,
            evidence=Evidence(guards=guards),
        )
        more = [(self._comparison, self._sums)]
        answered = ask_all(self._comparison, self._bills, self._journal, Budget(), more=more)
        write(conclude(plan, answered, self._journal), self._folder / EVALUATION)


@contextmanager
def held_out(plan: QuickstartPlan, folder: Path) -> Iterator[HeldOut]:
    """Open the evaluation of a quickstart's folder."""
    with journal_of(journal_base(folder / EVALUATION)) as journal:
        yield HeldOut(plan, folder, journal)
