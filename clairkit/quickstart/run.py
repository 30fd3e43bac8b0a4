"""Run the quickstart from end to end: prompts, pairs, scores, training, and what it changed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.evaluation.wording import percent
from clairkit.quickstart import stations
from clairkit.quickstart.outcome import QuickstartResult
from clairkit.quickstart.report import interval_text
from clairkit.quickstart.stations import QuickstartPlan, Say, Skills
from clairkit.records.output import check_folder
from clairkit.scoring import summarise

if TYPE_CHECKING:
    from clairkit.generation import BuildResult
    from clairkit.scoring import ScoredPairs
    from clairkit.training import TrainResult

SUMMARY = "summary.json"
_FIRST = (stations.PROMPTS, stations.BILLS, stations.SUMS)  # written before all else


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, so that the figures do not hang on the number of cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_quickstart(
    plan: QuickstartPlan, output: str | Path, *, force: bool = False, say: Say = lambda _: None
) -> QuickstartResult:
    """Run every station, each writing its files into the folder `output`.

    A folder that holds an earlier quickstart and nothing else is made anew.

    Args:
        plan: the numbers.
        output: the folder; made when it is missing.
        force: write into a folder that holds something else.
        say: gets a few plain lines at each station.

    Raises:
        UsageError: the folder holds something else and `force` is not given.
    """
    started = time.monotonic()
    force = force or _is_own(Path(output))
    folder = _folder(output, force=force)
    quiet_libraries()
    with one_thread():
        outcome = _walk(plan, folder, force, started, say)
    text = json.dumps(outcome.to_json(), ensure_ascii=False, indent=1)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    return outcome


def _walk(
    plan: QuickstartPlan, folder: Path, force: bool, started: float, say: Say
) -> QuickstartResult:
    from clairkit.quickstart.held_out import BASE, TUNED, held_out
    from clairkit.quickstart.pilot import conclude_pilot, write_pilot
    from clairkit.training.memory import peak_memory_mb

    stations.write_prompts(plan, folder, force=force)
    write_pilot(plan, folder)
    say(
        f"1/5 Prompts: {plan.prompts} bills to learn from; held out: {plan.held_out} bills and "
        f"{plan.held_out} sums. Training and evaluation share none."
    )
    with held_out(plan, folder) as prompts:
        before = prompts.measure(BASE, plan.model)
        say(_said_before(before))
        built = stations.make_pairs(plan, folder, force=force)
        scored = stations.score(plan, folder, force=force)
        say(_said_of_pairs(built, scored))
        trained = folder / stations.TRAINED
        result = stations.train(plan, folder, trained, force=force)
        say(_said_of_training(plan, result))
        after = prompts.measure(TUNED, str(trained))
        say(f"5/5 After: {interval_text(after.bills)} of the same bills are exactly right.")
        prompts.write()
    conclude_pilot(folder)
    return QuickstartResult(
        folder,
        plan,
        len(scored.pairs),
        before,
        after,
        dict(result.metrics),
        time.monotonic() - started,
        peak_memory_mb(),
    )


def _said_before(before: Skills) -> str:
    parts, row = before.parts(), before.bills.rows[0]
    return (
        f"2/5 Before: {interval_text(before.bills)} of the held-out bills are exactly right. The "
        f"sums are right in {percent(parts['sums_right'])}, but a unit is missing in "
        f"{percent(parts['unit_missing'])} and the closing line in "
        f"{percent(parts['closing_missing'])}. For instance:\n"
        f"{_quoted(row.prompt.prompt[-1]['content'], row.answer)}"
    )


def _said_of_pairs(built: BuildResult, scored: ScoredPairs) -> str:
    pair = scored.pairs[0]
    share = next(row for row in summarise(scored.scores) if row.metric == "edit_share_chosen")
    return (
        f"3/5 Pairs: {built.rows} answers of the model, {built.pairs} of them corrected by "
        f"{stations.REVISER}; it adds what is missing and changes nothing else (on average "
        f"{percent(share.mean)} of a revision's tokens are new). One revision:\n"
        f"{_quoted(pair.prompt[-1]['content'], pair.chosen[-1]['content'])}"
    )


def _said_of_training(plan: QuickstartPlan, result: TrainResult) -> str:
    last = result.metrics
    chosen, rejected = last["rewards/chosen"], last["rewards/rejected"]
    apart = percent(last["quadrants/chosen_up_rejected_down"])
    return (
        f"4/5 Training: {plan.loss}, learning rate {plan.learning_rate:g}, {result.steps} steps in "
        f"{result.seconds:.0f} s. At the end the revisions' reward is {chosen:+.2f}, that of the "
        f"model's own answers {rejected:+.2f}; in {apart} of the last pairs the revision became "
        "likelier and the own answer less likely."
    )


def _quoted(prompt: str, answer: str) -> str:
    return "\n".join(f"    {line}" for line in [f"> {prompt}", *answer.split("\n")])


def quiet_libraries() -> None:
    """Switch off the progress bars and notes of transformers, which would drown the stations."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _is_own(folder: Path) -> bool:
    """Whether all that a folder holds is an earlier quickstart's: it can be made again."""
    from clairkit.quickstart.held_out import EVALUATION
    from clairkit.quickstart.pilot import FILES

    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    stations_own = (stations.PAIRS, stations.SCORED, stations.TRAINED, EVALUATION)
    made = (*_FIRST, *stations_own, *FILES, SUMMARY, ".")
    return names.issuperset(_FIRST) and all(name.startswith(made) for name in names)


def _folder(output: str | Path, *, force: bool) -> Path:
    remedy = "write into it with --force, or name another with -o"
    folder = check_folder(output, "output folder", force=force, remedy=remedy)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
