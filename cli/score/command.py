"""Define `clairkit score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.score.checks import requested_checks, requested_workers, set_options, show_slices
from clairkit.cli.score.judge import (
    add_verdicts,
    check_read,
    is_known,
    judge_options,
    requested_judge,
    stopped,
)
from clairkit.cli.score.models import add_columns, model_options, models_asked
from clairkit.cli.score.show import show, show_options, view_asked
from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.options import ResumableCommand, column_options
from clairkit.records.json_types import JsonObject

if TYPE_CHECKING:
    from clairkit.records.json_types import JsonObject
    from clairkit.scoring import ScoredPairs, SummaryRow

_STATISTICS = ("mean", "median", "p10", "p90", "min", "max")
_COUNTS = frozenset(
    (
        "edit_spans",
        "span_length_mean",
        "span_length_max",
        "clean_edit_spans",
        "clean_span_length_mean",
    )
)


@click.command(
    "score",
    cls=ResumableCommand,
    short_help="What really differs between the two sides of each pair.",
)
@click.argument("pairs", nargs=-1, required=True)
@click.option("--compare", is_flag=True, help="Two sets of pairs or more, side by side.")
@click.option("-o", "--output", help="Write the pairs here, `scores` filled, sorted by id.")
@click.option("--tokenizer", metavar="ID", help="Folder or Hub id; counts its tokens.")
@click.option(
    "--drop",
    metavar="REASON,…",
    help="Leave out pairs that are: dead (identical or whitespace_only), empty (empty_chosen or "
    "empty_rejected), duplicate, near_duplicate, in_eval, contaminated, outlier (length_outlier "
    "or edit_outlier), one_unit, disjoint, turns_differ, approximate.",
)
@set_options
@show_options
@model_options
@judge_options
@column_options
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows, and count them.")
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@output_options
@click.pass_context
def command(
    context: click.Context,
    /,
    pairs: tuple[str, ...],
    compare: bool,
    output: str | None,
    tokenizer: str | None,
    drop: str | None,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> int:
    """Show what really differs between the two sides of each pair of PAIRS.

    With --compare, several PAIRS are set side by side: clairkit score --compare A B C. Each mean
    has a 95 % bootstrap interval; the prompts are drawn, each with all its pairs.

    PAIRS is a JSONL, JSON, CSV or Parquet file, a datasets folder or a Hub id. Without
    --tokenizer, grapheme clusters (characters as a reader sees them) are counted, never words.
    The same pairs give the same output in any order. Spans are what lies between equal stretches;
    an edit share is the share of one side that lies in spans; similarity is 2 m / (n + n') with m
    the longest common subsequence.
    """
    from clairkit.records import check_output, read_pairs, write_pairs
    from clairkit.scoring import check_column, load_tokenizer, parse_reasons, score_pairs, summarise

    console = Console(as_json=as_json, quiet=quiet)
    reasons = parse_reasons(drop) if drop is not None else ()
    _check_use(pairs, output, flags["by"], is_comparison=compare)
    if view_asked(pairs, output, drop, flags):
        show(console, pairs[0], tokenizer, flags)
        return 0
    models = models_asked(flags, is_comparison=compare)
    judge = requested_judge(flags, output, is_comparison=compare)
    if output is not None:
        known = judge is not None and is_known(output)
        check_output(output, force=flags["force"] or known)
    loaded = load_tokenizer(tokenizer) if tokenizer is not None else None
    if compare:
        from clairkit.cli.score import compare as score_compare

        score_compare.compare(
            console,
            pairs,
            loaded,
            drop=reasons,
            checks=requested_checks(flags, reasons),
            workers=requested_workers(flags),
            reading={"skip_bad": flags["skip_bad"], "columns": flags["columns"]},
            number=_number,
        )
        return 0
    (source,) = pairs
    stream = read_pairs(source, skip_bad=flags["skip_bad"], columns=flags["columns"])
    if flags["by"]:
        check_column(stream, flags["by"])
    scored = score_pairs(
        stream,
        loaded,
        drop=reasons,
        keep_pairs=bool(output or models),
        checks=requested_checks(flags, reasons),
        by=flags["by"],
        workers=requested_workers(flags),
    )
    _check_left(scored, source)
    rows = summarise(scored.scores)
    _show(console, rows, scored, stream.skipped)
    by = {"by": show_slices(console, scored, flags["by"], _number)} if flags["by"] else {}
    written = scored.pairs
    readings: JsonObject = {}
    if models:
        written, readings = add_columns(console, scored.pairs, source, flags)
    judged = None
    if judge is not None and output is not None:
        written, judged = add_verdicts(console, written, output, judge, flags)
        if judged.unfinished:
            return stopped(console, judged, context.meta["clairkit.arguments"])
        readings["judge"] = judged.to_json()
    if output is not None:
        write_pairs(output, written, force=flags["force"] or judged is not None)
        console.show(f"Pairs with scores: {output}")
        console.note(f"Next: clairkit train --model ID --pairs {output} -o RUN")
    console.result({**_result(rows, scored, stream.skipped, output), **by, **readings})
    if judged is not None:
        check_read(judged)
    return 0


def _check_use(
    pairs: tuple[str, ...], output: str | None, by: str | None, *, is_comparison: bool
) -> None:
    from clairkit.errors import UsageError

    if is_comparison and by is not None:
        raise UsageError("--compare has no slices", received=by, remedy="leave out --by")
    if is_comparison and output is not None:
        raise UsageError("--compare writes no pairs", received=output, remedy="leave out -o")
    if not is_comparison and len(pairs) > 1:
        raise UsageError(
            "one set of pairs is scored at a time",
            received=" ".join(pairs),
            remedy="name one, or set them side by side with --compare",
        )


def _check_left(scored: ScoredPairs, source: str) -> None:
    from clairkit.errors import DataError

    if not scored.scores:
        counts = ", ".join(f"{count} {reason}" for reason, count in scored.dropped.items())
        raise DataError(
            f"0 of {scored.read} pairs are left",
            path=source,
            received=counts,
            remedy="name fewer reasons to drop, or make other pairs",
        )


def _show(
    console: Console, rows: Sequence[SummaryRow], scored: ScoredPairs, skipped: Mapping[str, int]
) -> None:
    from clairkit.scoring import METRICS, count_flags

    unit, tokenizer, count = rows[0].unit, rows[0].tokenizer, len(scored.scores)
    counted = f"tokens of {tokenizer}" if tokenizer else "grapheme clusters (no --tokenizer given)"
    console.table(
        f"{count} pair{'s' * (count != 1)}. Unit: {counted}.",
        ["metric", "unit", "n", *_STATISTICS],
        [
            [METRICS[row.metric], unit, str(row.n)]
            + [_number(row.metric, getattr(row, name)) for name in _STATISTICS]
            for row in rows
        ],
    )
    for label, counts in (
        ("Flags", count_flags(scored.scores)),
        ("Dropped", scored.dropped),
        ("Bad rows skipped", skipped),
    ):
        if counts:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            console.show(f"{label}: {listed}")


def _number(metric: str, value: float) -> str:
    if metric in _COUNTS or metric.endswith("_length"):
        return f"{value:.1f}" if value < 10_000 else f"{value:.0f}"
    return f"{value:.3f}"


def _result(
    rows: Sequence[SummaryRow], scored: ScoredPairs, skipped: Mapping[str, int], output: str | None
) -> JsonObject:
    from clairkit.scoring import count_flags

    return {
        "read": scored.read,
        "kept": len(scored.scores),
        "unit": rows[0].unit,
        "tokenizer": rows[0].tokenizer,
        "metrics": {
            row.metric: {"n": row.n} | {name: getattr(row, name) for name in _STATISTICS}
            for row in rows
        },
        "flags": count_flags(scored.scores),
        "dropped": scored.dropped,
        "skipped": dict(sorted(skipped.items())),
        "output": output,
    }
