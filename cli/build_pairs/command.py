"""Define `clairkit build-pairs`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.build_pairs.options import build_options, check_method_options, make_settings
from clairkit.cli.build_pairs.result import show_result
from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.ending import PARTIAL, leave_early
from clairkit.cli.shared.options import SectionCommand, chosen_columns
from clairkit.cli.shared.progress_line import ProgressLine

if TYPE_CHECKING:
    from clairkit.generation.export import BuildResult
    from clairkit.generation.settings import BuildSettings
    from clairkit.journal.row_index import Shard
    from clairkit.records import PromptRow
    from clairkit.records.json_types import JsonMapping, JsonObject
    from clairkit.records.stream import RowStream

_MODES = ("dry_run", "probe", "batch_export", "batch_import")


@click.command(
    "build-pairs",
    cls=SectionCommand,
    short_help="Answers and their minimal revisions, as preference pairs.",
)
@click.argument("prompts")
@click.option("-o", "--output", metavar="PAIRS", required=True, help="The pair file to write.")
@build_options
@output_options
@click.pass_context
def command(
    context: click.Context, /, prompts: str, output: str, as_json: bool, quiet: bool, **options: Any
) -> int:
    """Answer PROMPTS, minimally revise the answers, write both as preference pairs.

    SPEC is hf:ID_OR_PATH (in this process), openai:MODEL (any OpenAI-compatible server; the key
    comes from OPENAI_API_KEY, or TARGET_API_KEY, REVISER_API_KEY, JUDGE_API_KEY) or
    python:PACKAGE:FUNCTION. The function gets one object with .prompt, .answer and .row, and
    returns the revision, None, or (revision, rationale).

    The same command goes on where it stopped. Rows that become no pair stand in
    PAIRS.quarantine.jsonl with a reason; PAIRS.journal.sqlite holds every reply.
    """
    from clairkit.journal.row_index import Shard, parse_shard
    from clairkit.records import read_prompts

    check_method_options(context, options["method"])
    mode = _mode(options)
    stream = read_prompts(
        prompts,
        skip_bad=options["skip_bad"],
        limit=options["limit"],
        columns=chosen_columns(options),
    )
    rows = stream if options["shard"] is None else Shard(stream, *parse_shard(options["shard"]))
    console = Console(as_json=as_json, quiet=quiet)
    run = _Run(
        console=console,
        line=ProgressLine(console),
        stream=stream,
        rows=rows,
        output=output,
        settings=make_settings(options),
        options=options,
        resume=f"clairkit build-pairs {shlex.join(context.meta['clairkit.arguments'])}",
    )
    try:
        return mode(run)
    finally:
        run.line.end()


@dataclass(frozen=True)
class _Run:
    """What every mode of the command needs."""

    console: Console
    line: ProgressLine
    stream: RowStream[PromptRow]
    rows: RowStream[PromptRow] | Shard
    output: str
    settings: BuildSettings
    options: JsonMapping
    resume: str

    @property
    def models(self) -> dict[str, str | None]:
        return {role: self.options[role] for role in ("target", "reviser", "judge")}

    @property
    def unasked(self) -> BuildSettings:
        """The settings where no server is asked: no key is needed."""
        return replace(self.settings, models=replace(self.settings.models, needs_key=False))

    @property
    def watched(self) -> JsonObject:
        return {"progress": self.line.update, "say": self.line.say}

    @property
    def skipped(self) -> dict[str, int]:
        return dict(self.stream.skipped)


def _mode(options: JsonMapping) -> Callable[[_Run], int]:
    """Return what is to be done.

    Raises:
        UsageError: two things at once, or an option that has no effect.
    """
    from clairkit.errors import UsageError

    given = [name for name in _MODES if options[name]]
    if len(given) > 1:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError("these exclude each other", received=flags, remedy="give one of them")
    if options["probes"] and not (options["dry_run"] or options["probe"]):
        raise UsageError(
            "--probes goes with --dry-run or --probe",
            received=options["probes"],
            remedy="add one of them",
        )
    for name in ("fork", "engine"):
        if given and options[name] not in (None, "local"):
            raise UsageError(
                f"--{name} goes with a run only",
                received=f"--{given[0]}",
                remedy=f"leave --{name} out",
            )
    modes = {
        "dry_run": _dry_run,
        "probe": _probe,
        "batch_export": _batch_export,
        "batch_import": _batch_import,
    }
    return modes[given[0]] if given else _build


def _build(run: _Run) -> int:
    from clairkit.generation.engine import make_build, run_build

    method = make_build(run.settings, **run.models)
    if run.options["fork"] is not None:
        _fork(run)
    engine = None
    if run.options["engine"] == "ray":
        from clairkit.generation.ray import RayEngine

        engine = RayEngine(run.settings, run.models)
    result = run_build(
        run.rows,
        method,
        run.output,
        settings=run.settings,
        force=run.options["force"],
        engine=engine,
        **run.watched,
    )
    return _end(run, result, {})


def _fork(run: _Run) -> None:
    from pathlib import Path

    from clairkit.audit.fork import fork_journal

    if fork_journal(Path(run.options["fork"]), Path(run.output)):
        run.line.say(f"Begun with the replies of {run.options['fork']}.")


def _end(run: _Run, result: BuildResult, more: JsonMapping) -> int:
    run.line.end()
    show_result(run.console, result, run.skipped, run.resume, more)
    code = leave_early(run.console, result, result.stop, run.resume)
    if code is not None:
        return code
    return PARTIAL if result.failed or result.unfinished else 0


def _dry_run(run: _Run) -> int:
    from clairkit.cli.shared.dry_run import show_dry_run
    from clairkit.generation.cost.dry_run import dry_run
    from clairkit.generation.engine import make_build

    settings = run.settings if run.options["probes"] else run.unasked
    made = dry_run(
        run.rows,
        make_build(settings, **run.models),
        run.output,
        settings=settings,
        probes=run.options["probes"],
        force=run.options["force"],
        **run.watched,
    )
    run.line.end()
    show_dry_run(run.console, made, run.skipped)
    budget = made.budget
    if budget is None:
        return 0
    return leave_early(run.console, budget, budget.error, run.resume) or 0


def _probe(run: _Run) -> int:
    from clairkit.cli.build_pairs.result import exit_code, show_card
    from clairkit.generation.engine import make_models
    from clairkit.probe import ProbeSettings, run_probe

    result = run_probe(
        run.rows,
        make_models(run.settings, **run.models),
        run.output,
        settings=run.settings,
        probe=ProbeSettings.of_size(run.options["probes"] or 20, seed=run.options["seed"]),
        force=run.options["force"],
        **run.watched,
    )
    run.line.end()
    show_card(run.console, result, run.skipped, run.resume)
    code = leave_early(run.console, result, result.stop, run.resume)
    return exit_code(result) if code is None else code


def _batch_export(run: _Run) -> int:
    from clairkit.cli.build_pairs.batches import show_export
    from clairkit.generation.batch.run import export_batch
    from clairkit.generation.engine import make_build

    exported = export_batch(
        run.rows,
        make_build(run.unasked, **run.models),
        run.output,
        run.options["batch_export"],
        settings=run.settings,
        force=run.options["force"],
        **run.watched,
    )
    run.line.end()
    show_export(run.console, exported)
    budget = exported.budget
    if budget is None:
        return 0
    return leave_early(run.console, budget, budget.error, run.resume) or 0


def _batch_import(run: _Run) -> int:
    from clairkit.cli.build_pairs.batches import import_json, show_import
    from clairkit.generation.batch.run import import_batch
    from clairkit.generation.engine import make_build

    imported, result = import_batch(
        run.rows,
        make_build(run.unasked, **run.models),
        run.output,
        run.options["batch_import"],
        settings=run.settings,
        force=run.options["force"],
    )
    run.line.end()
    show_import(run.console, imported, result)
    return _end(run, result, {"imported": import_json(imported)})
