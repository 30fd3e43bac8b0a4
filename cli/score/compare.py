"""Show the contrastiveness table of several sets of pairs (`clairkit score --compare`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.errors import UsageError

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.records import Pair, RowStream
    from clairkit.records.json_types import JsonMapping, JsonObject
    from clairkit.scoring import Checks, Comparison
    from clairkit.scoring.units import Tokenizer

_SHOWN = (
    "contrastiveness",
    "length_balance",
    "overlap",
    "jaccard_set",
    "indel_similarity",
    "edit_share_chosen",
    "edit_share_rejected",
    "edit_spans",
    "common_prefix_share",
    "length_ratio",
)


def compare(
    console: Console,
    paths: Sequence[str],
    tokenizer: Tokenizer | None,
    *,
    drop: Sequence[str],
    checks: Checks,
    workers: int,
    reading: JsonMapping,
    number: Callable[[str, float], str],
) -> None:
    """Show what the pairs of each of `paths` differ in on average, a row a metric and a set.

    Args:
        console: where to.
        paths: files, folders or Hub ids of pairs.
        tokenizer: counts its tokens; None counts grapheme clusters.
        drop: reasons to leave pairs out.
        checks: what else to look for.
        workers: processes that score.
        reading: options of `read_pairs`.
        number: writes a metric's value.

    Raises:
        UsageError: fewer than two sets, or one twice.
    """
    from clairkit.records import read_pairs
    from clairkit.scoring import METRICS, compare_sets

    streams = {path: read_pairs(path, **reading) for path in paths}
    if len(streams) < max(2, len(paths)):
        raise UsageError(
            "--compare takes two different sets of pairs, or more",
            received=" ".join(paths),
            remedy="name each file once",
        )
    found = compare_sets(streams, tokenizer, drop=drop, checks=checks, workers=workers)
    names = _names(paths)
    rows = [
        [METRICS[mean.metric], names[path], str(mean.n)]
        + [number(mean.metric, value) for value in (mean.mean, mean.low, mean.high)]
        for metric in _SHOWN
        for path, each in found.sets.items()
        for mean in each.means
        if mean.metric == metric
    ]
    counted = f"tokens of {found.tokenizer}" if found.tokenizer else "grapheme clusters"
    console.table(
        f"What the sides of a pair differ in. Unit: {counted}.",
        ["metric", "pairs", "n", "mean", "low", "high"],
        rows,
        note="low, high: 95 % bootstrap interval of the mean, drawn by prompt",
    )
    _show_sets(console, found, names, streams)
    console.result(_result(found, names, streams))


def _show_sets(
    console: Console,
    found: Comparison,
    names: Mapping[str, str],
    streams: Mapping[str, RowStream[Pair]],
) -> None:
    for path, each in found.sets.items():
        left_out = [*each.dropped.items(), *sorted(streams[path].skipped.items())]
        counts = [f"{flag} {count}" for flag, count in each.flags.items()]
        counts += [f"left out as {reason} {count}" for reason, count in left_out]
        listed = "".join(f", {count}" for count in counts)
        console.show(f"{names[path]} ({', '.join(each.sources)}): {each.pairs} pairs{listed}")
    if found.shared_prompts < found.all_prompts:
        console.warn(
            f"the sets share {found.shared_prompts} of {found.all_prompts} prompts; where they "
            "differ in prompts, they may differ for that reason"
        )


def _result(
    found: Comparison, names: Mapping[str, str], streams: Mapping[str, RowStream[Pair]]
) -> JsonObject:
    return {
        "unit": found.unit,
        "tokenizer": found.tokenizer,
        "shared_prompts": found.shared_prompts,
        "all_prompts": found.all_prompts,
        "sets": [
            {
                "path": path,
                "name": names[path],
                "pairs": each.pairs,
                "prompts": len(each.prompts),
                "sources": each.sources,
                "metrics": {
                    mean.metric: {
                        "n": mean.n,
                        "mean": mean.mean,
                        "low": mean.low,
                        "high": mean.high,
                    }
                    for mean in each.means
                },
                "flags": each.flags,
                "dropped": each.dropped,
                "skipped": dict(sorted(streams[path].skipped.items())),
            }
            for path, each in found.sets.items()
        ],
    }


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Short names of the sets; the whole path where two would be called the same."""
    stems = [Path(path).name.split(".")[0] or path for path in paths]
    return {
        path: stem if stems.count(stem) == 1 else path
        for path, stem in zip(paths, stems, strict=True)
    }
