"""`clairkit evaluate`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.evaluate.options import evaluate_options, make_plan
from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.ending import PARTIAL, cap_text, leave_early, raised
from clairkit.cli.shared.options import SectionCommand
from clairkit.cli.shared.progress_line import ProgressLine

if TYPE_CHECKING:
    from clairkit.evaluation.comparison import Answered
    from clairkit.evaluation.run import Evaluated
    from clairkit.records.json_types import JsonMapping

_READABLE = "look at the replies under `given` in items.jsonl, or take another judge"


@click.command(
    "evaluate",
    cls=SectionCommand,
    short_help="Is the new model better: checks and judges, with intervals.",
)
@click.argument("prompts")
@evaluate_options
@output_options
@click.pass_context
def command(
    context: click.Context, /, prompts: str, as_json: bool, quiet: bool, **options: Any
) -> int:
    """Ask models held-out PROMPTS; a check or judges say whose answers are better.

    SPEC is hf:ID_OR_PATH, openai:MODEL or python:PACKAGE:FUNCTION, as for build-pairs; the key of
    a judge's server comes from JUDGE_API_KEY or OPENAI_API_KEY. A prompt without an answer counts
    as wrong, and its reason is shown.

    One answer a prompt is sampled; its randomness comes from --seed and the row's id. Shares of
    right answers stand with Wilson's 95 % interval, changes with Newcombe's paired one, win rates
    with a bootstrap over prompts, or over the clusters of --cluster. With a baseline one verdict
    follows: SHIP, HOLD or NEED MORE.

    With -o EVAL/ the same command goes on where it stopped, and one with a further judge or model
    asks only what is new; EVAL holds every reply, eval.json every figure.

    The exit code is 8 when more than 5 % of a judge's verdicts could not be read; else 0 whatever
    the verdict, unless --require-gain is given: then 0 means SHIP, 8 NEED MORE (the interval
    includes "no difference") and 7 HOLD (it lies below, or a guard is violated).
    """
    from clairkit.cli.evaluate.show import show_evaluated, show_warnings
    from clairkit.errors import EvidenceError
    from clairkit.evaluation.run import ask, conclude, forecast, journal_of

    console = Console(as_json=as_json, quiet=quiet)
    target = _target(options)
    plan = make_plan(prompts, options)
    if plan.skipped:
        listed = ", ".join(f"{name} {count}" for name, count in plan.skipped.items())
        console.warn(f"bad rows skipped: {listed}")
    if options["dry_run"]:
        from clairkit.cli.shared.dry_run import show_dry_run

        show_dry_run(console, forecast(plan, target.journal_base), plan.skipped)
        return 0
    resume = f"clairkit evaluate {shlex.join(context.meta['clairkit.arguments'])}"
    line = ProgressLine(console)
    for each in plan.comparison.contestants:
        console.note(f"Asking {each.name}, {each.spec}")
    with journal_of(target.journal_base) as journal:
        try:
            answered = ask(plan, journal, progress=line.update, say=line.say)
        finally:
            line.end()
        if answered.unfinished:
            return _stopped(console, answered, target, resume)
        found = conclude(plan, answered, journal)
        show_warnings(console, found)
        show_evaluated(console, found)
        target.write(found)
    if target.output is not None:
        console.show(f"{'Evaluation' if target.is_folder else 'Answers'}: {target.output}")
    _show_json(console, found, target)
    if options["require_gain"]:
        _require_gain(found)
    if found.unread is not None:
        raise EvidenceError(found.unread.text, remedy=_READABLE)
    return 0


@dataclass(frozen=True)
class _Target:
    """Where the output goes: nowhere, to a file of answers, or into a folder."""

    output: str | None
    is_folder: bool
    force: bool

    @property
    def journal_base(self) -> Path | None:
        """Return the file that the journal stands beside; None: it ends with the run."""
        from clairkit.evaluation.folder import journal_base

        if self.output is None:
            return None
        path = Path(self.output)
        return journal_base(path) if self.is_folder else path.resolve()

    def write(self, found: Evaluated) -> None:
        """Write what was found."""
        if self.output is None:
            return
        if self.is_folder:
            from clairkit.evaluation.run import write

            write(found, Path(self.output))
            return
        from clairkit.cli.evaluate.show import answer_rows
        from clairkit.records import write_rows

        write_rows(self.output, answer_rows(found), force=self.force)


def _target(options: JsonMapping) -> _Target:
    """Return where the output goes, after a look whether it may.

    Raises:
        UsageError: it may not be replaced, or leads out of the current directory.
        ResourceError: its folder cannot be written to.
    """
    from clairkit.errors import UsageError
    from clairkit.evaluation.folder import journal_base
    from clairkit.journal.results import journal_path
    from clairkit.records import check_output
    from clairkit.records.output import check_folder

    output, force = options["output"], options["force"]
    if output is None:
        return _Target(None, False, force)
    path = Path(output)
    if output.endswith("/") or path.is_dir() or not path.suffix:
        is_ours = journal_path(journal_base(path)).exists()
        remedy = "name another folder, or add --force"
        check_folder(path, "output", force=force or is_ours, remedy=remedy)
        check_output(journal_base(path), force=True)
        return _Target(output, True, force)
    if len(options["models"]) > 1 or options["check"] is None:
        raise UsageError(
            "a file holds the checked answers of one model and a baseline",
            received=output,
            remedy="name a folder: -o EVAL/",
        )
    check_output(output, force=force)
    return _Target(output, False, force)


def _stopped(console: Console, answered: Answered, target: _Target, resume: str) -> int:
    """Say what is kept of a run that was stopped, and how to go on; return its exit code."""
    control = answered.control
    way_on = raised(resume, control) if target.output else None
    console.result({"unfinished": answered.unfinished, "resume": way_on})
    console.note(f"{answered.unfinished:,} prompts are still to be done")
    if target.output is None:
        answered.raise_stopped()
        if control.reached is not None:
            console.warn(
                f"{cap_text(control.reached)}. Without -o nothing is kept: add it, and "
                f"{control.reached.raised:.15g} or more as the cap."
            )
        return PARTIAL
    return leave_early(console, control, control.error, resume) or PARTIAL


def _show_json(console: Console, found: Evaluated, target: _Target) -> None:
    from clairkit.cli.evaluate.show import simple_json

    whole = found.to_json()
    more = {name: value for name, value in whole.items() if name != "schema"}
    console.result({**more, **simple_json(found), "output": target.output})


def _require_gain(found: Evaluated) -> None:
    from clairkit.errors import EvidenceError, GateError

    decision = found.decision
    if decision is not None and decision.verdict == "HOLD":
        raise GateError(decision.reason)
    if decision is not None and decision.verdict == "NEED MORE":
        remedy = "evaluate on more prompts" if found.unread is None else _READABLE
        raise EvidenceError(decision.reason, remedy=remedy)
