"""`clairkit build-pairs`."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click

from clairkit.cli.console import Console, output_options

if TYPE_CHECKING:
    from clairkit.errors import ClairError
    from clairkit.generation.engine import BuildResult, BuildSettings
    from clairkit.generation.estimate import Estimate
    from clairkit.generation.runner import Progress

_PARTIAL = 4
_SECONDS_BETWEEN_LINES = 10.0


class _KeepsArguments(click.Command):
    """Remembers its arguments as given, for the command that resumes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["clairkit.arguments"] = list(args)
        return super().parse_args(ctx, args)


@click.command(
    "build-pairs",
    cls=_KeepsArguments,
    short_help="Answers and their minimal revisions, as preference pairs.",
)
@click.argument("prompts")
@click.option("-o", "--output", metavar="PAIRS", required=True, help="The pair file to write.")
@click.option("--target", metavar="SPEC", help="Model that answers prompts without `answer`.")
@click.option("--reviser", metavar="SPEC", required=True, help="Model that revises the answers.")
@click.option("--base-url", metavar="URL", help="Server of `openai:` (or OPENAI_BASE_URL).")
@click.option(
    "--template", metavar="NAME|FILE", default="clair", show_default=True,
    help="clair, clair-paper, or a file with {{conversation}}, {{answer}} and the reply's marks.",
)  # fmt: skip
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Of answers.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Of answers.")
@click.option("--max-new-tokens", type=int, default=512, show_default=True, help="Of answers.")
@click.option(
    "--reviser-temperature", type=float, default=0.0, show_default=True, help="Of revisions."
)
@click.option(
    "--reviser-max-tokens", type=int, default=4096, show_default=True,
    help="Of revisions, reasoning included.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Another one samples anew.")
@click.option("--concurrency", type=int, default=8, show_default=True, help="Requests at once.")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Rows at once, hf:.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Of one request, s.")
@click.option("--max-calls", type=int, help="Stop before the call after this many, resumably.")
@click.option("--limit", type=int, help="Only the first N good rows.")
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows.")
@click.option("--dry-run", is_flag=True, help="Rows, calls, tokens; no network, no files.")
@click.option("--force", is_flag=True, help="Replace the output; accept other settings.")
@output_options
@click.pass_context
def command(
    context: click.Context,
    /,
    prompts: str,
    output: str,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Answer PROMPTS, minimally revise the answers, write both as preference pairs.

    SPEC is hf:ID_OR_PATH (in this process), openai:MODEL (any OpenAI-compatible server; the key
    comes from OPENAI_API_KEY) or python:PACKAGE:FUNCTION. The function gets one object with
    .prompt, .answer and .row, and returns the revision, None, or (revision, rationale).

    The same command goes on where it stopped. Rows that become no pair stand in
    PAIRS.quarantine.jsonl with a reason; PAIRS.journal.sqlite holds every reply.
    """
    from clairkit.generation.engine import load_rows, make_recipe, run_build
    from clairkit.generation.estimate import estimate
    from clairkit.records import read_prompts

    console = Console(as_json=as_json, quiet=quiet)
    stream = read_prompts(prompts, skip_bad=options["skip_bad"], limit=options["limit"])
    settings = _settings(options)
    recipe = make_recipe(options["target"], options["reviser"], settings)
    if dry_run:
        rows = load_rows(stream, has_target=recipe.target is not None)
        _show_estimate(console, estimate(rows, recipe), dict(stream.skipped))
        return 0
    line = ProgressLine(console)
    try:
        result = run_build(
            stream, recipe, output, settings=settings, force=options["force"],
            progress=line.update, say=line.say,
        )  # fmt: skip
    finally:
        line.end()
    resume = f"clairkit build-pairs {shlex.join(context.meta['clairkit.arguments'])}"
    _show_result(console, result, dict(stream.skipped), resume)
    return _leave(console, result, resume)


def _settings(options: Mapping[str, Any]) -> BuildSettings:
    from clairkit.generation.engine import BuildSettings
    from clairkit.generation.sampling import Sampling
    from clairkit.generation.specs import ModelOptions

    seed = options["seed"]
    return BuildSettings(
        template=options["template"],
        answer_sampling=Sampling(
            temperature=options["temperature"], top_p=options["top_p"],
            max_new_tokens=options["max_new_tokens"], seed=seed,
        ),
        revise_sampling=Sampling(
            temperature=options["reviser_temperature"],
            max_new_tokens=options["reviser_max_tokens"], seed=seed,
        ),
        models=ModelOptions(
            concurrency=options["concurrency"], batch_size=options["batch_size"],
            base_url=options["base_url"], timeout=options["timeout"],
        ),
        max_calls=options["max_calls"],
    )  # fmt: skip


class ProgressLine:
    """Progress on stderr: one line that is written over on a terminal, else a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = sys.stderr.isatty() and not _is_dumb()
        self._last = time.monotonic()
        self._started = self._last
        self._is_open = False

    def update(self, progress: Progress) -> None:
        """Show how far a step is, not too often."""
        now = time.monotonic()
        pause = 0.1 if self._live else _SECONDS_BETWEEN_LINES
        if self._console.quiet or (now - self._last < pause and progress.done < progress.total):
            return
        self._last = now
        self._write(_progress_text(progress, now - self._started))

    def say(self, text: str) -> None:
        """Write a remark below the line."""
        self.end()
        self._console.note(text)

    def end(self) -> None:
        """Leave the line."""
        if self._is_open:
            sys.stderr.write("\n")
            self._is_open = False

    def _write(self, text: str) -> None:
        if not self._live:
            self._console.note(text)
            return
        import shutil

        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{text[:width]:{width}}")
        sys.stderr.flush()
        self._is_open = True


def _is_dumb() -> bool:
    import os

    return os.environ.get("TERM", "dumb") == "dumb"


def _progress_text(progress: Progress, seconds: float) -> str:
    text = f"{progress.step} {progress.done}/{progress.total}, {seconds:.0f} s"
    if progress.completion_tokens:
        text += f", {progress.completion_tokens} tokens"
    failures = ", ".join(f"{count} {code}" for code, count in progress.failures.most_common(3))
    return f"{text}; {failures}" if failures else text


def _show_estimate(console: Console, made: Estimate, skipped: Mapping[str, int]) -> None:
    import dataclasses

    values = dataclasses.asdict(made)
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in values.items()]
    console.table(
        "Dry run", ["", "estimate"], rows,
        note="From the start, without retries; tokens by text length, ±50 %.",
    )  # fmt: skip
    console.result({**values, "skipped": skipped, "dry_run": True})


def _show_result(
    console: Console, result: BuildResult, skipped: Mapping[str, int], resume: str
) -> None:
    is_whole = not result.unfinished
    console.result(
        {
            "rows": result.rows, "pairs": result.pairs, "counts": result.counts,
            "failed": result.failed, "unfinished": result.unfinished, "skipped": skipped,
            "calls": result.calls, "tokens": result.tokens, "output": str(result.path),
            "quarantine": None if result.quarantine is None else str(result.quarantine),
            "journal": str(result.journal), "seconds": round(result.seconds, 3),
            "resume": None if is_whole else resume,
        }
    )  # fmt: skip
    tokens = f"{result.tokens['prompt']:,} + {result.tokens['completion']:,} tokens"
    console.table(
        f"{result.pairs} pairs from {result.rows} rows",
        ["rows", "count"],
        list(_rows(result, skipped)),
        note=f"{result.calls} calls, {tokens}, {result.seconds:.1f} s in this run",
    )
    console.show(f"Pairs: {result.path}")
    if result.quarantine is not None:
        console.show(f"Why not the others: {result.quarantine}")
    if is_whole and result.pairs:
        console.note(f"Next: clairkit score {shlex.quote(str(result.path))}")


def _rows(result: BuildResult, skipped: Mapping[str, int]) -> Iterator[list[str]]:
    from clairkit.generation.reasons import reason

    yield ["pair", str(result.pairs)]
    for code, count in result.counts.items():
        yield [f"{code}: {reason(code).meaning}", str(count)]
    if result.unfinished:
        yield ["not done yet", str(result.unfinished)]
    for code, count in skipped.items():
        yield [f"left out, {code}", str(count)]


def _leave(console: Console, result: BuildResult, resume: str) -> int:
    """Return the exit code; an unfinished run ends with the command that resumes it."""
    if result.stop is not None:
        _raise_with(result.stop, resume)
    if result.signal is not None:
        console.warn(f"Interrupted. To go on:\n{resume}")
        return 128 + signal.Signals(result.signal)
    if result.unfinished:
        console.warn(f"--max-calls is reached. To go on, with a higher one:\n{resume}")
        return _PARTIAL
    return _PARTIAL if result.failed else 0


def _raise_with(error: ClairError, resume: str) -> NoReturn:
    """Raise an error with the command that resumes as the end of its remedy."""
    remedy = f"{error.remedy}. To go on:\n{resume}" if error.remedy else f"To go on:\n{resume}"
    raise type(error)(error.problem, received=error.received, remedy=remedy) from error
