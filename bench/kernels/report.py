"""Show the kernel suite's results as tables and Markdown, from JSON. Imports torch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clairkit.bench.kernels.variants import OURS
from clairkit.bench.measure.timing import Spread
from clairkit.bench.results import Json, number, versions_text

NOTES = (
    "s: median seconds of forward, loss and backward of the head. bare 4, 8, 6: ratio to bare "
    "matrix products of so many N*V*D operations, timed in the same rounds. ours: ratio to "
    "clairkit auto. MB: peak beyond what was held before (10^6 bytes, gradients included). nats: "
    "error of the worst summed log-prob; dH, dW: relative errors of the gradients; all against "
    "float64 of the same inputs (log-probs: every token; gradients: a sample of rows). Without a "
    "prompt all variants are given response tokens alone; with one, each does with ignored tokens "
    "what it does in use."
)
_NOTHING = "-"
MB = 1e6


def columns(point: Json) -> list[str]:
    """Return the head of a point's table."""
    bare = [f"bare {count}" for count in _counts(point)]
    errors = ["nats", "dH"] + ["dW"] * (point["case"]["head"] == "full")
    return ["variant", "s", "range", *bare, "ours", "MB", "MB/ours", *errors]


def rows(point: Json) -> list[list[str]]:
    """Return a row for the bare products and for every variant; no figure of a wrong one."""
    found = []
    for count, bare in point["bare"].items():
        seconds = sorted(bare["seconds"])
        time = {"median": Spread.of(seconds).median} if seconds else None
        row = [f"bare {count}", *_seconds({"seconds": seconds, "time": time})]
        row += ["1.00x" if other == count else _NOTHING for other in _counts(point)]
        found.append(row + [_NOTHING] * (len(columns(point)) - len(row)))
    return found + [_row(point, result) for result in point["results"]]


def remark(point: Json) -> str:
    """Return what `auto` took and why, and the tiles of the bare products."""
    tiles = ", ".join(
        f"bare {count} in tiles of {bare['tiling']}" for count, bare in point["bare"].items()
    )
    return f"auto is {point['auto']}; {tiles or 'no bare products'}"


def problems(point: Json) -> list[str]:
    """Return a line for each variant that has no figures, or not all of them."""
    return [
        f"{result['variant']}: {result['status']}, {result['problem']}"
        for result in point["results"]
        if result["problem"]
    ]


def absences(document: Json) -> list[str]:
    """Return a line for each peer that is not there, and one for the points that were left out."""
    lines = [f"{name}: absent, {reason}" for name, reason in document["absent"].items()]
    if left := document["not_measured"]:
        lines.append(f"not measured, the time was over: {', '.join(left)}")
    return lines


def describe(document: Json) -> str:
    """Return in a few sentences where and how it was measured."""
    machine, settings = document["machine"], document["settings"]
    apart = "; each variant in a process of its own" if settings.get("apart") else ""
    simd = f", {machine['simd']}" if machine["device"] == "cpu" else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads{simd}, device "
        f"{machine['device']}; {versions_text(machine)}; commit {machine['commit'] or 'unknown'}. "
        f"Up to {settings['rounds']} rounds; after {settings['patience']:g} s a variant sits "
        f"out{apart}. Load average {document['load_before']} before, {document['load_after']} "
        f"after; {document['wall_seconds']:.0f} s in all."
    )


def markdown(document: Json) -> str:
    """Return the machine and one table a point, ready for a page of documentation."""
    lines = [describe(document), "", *(f"- {line}" for line in absences(document))]
    for point in document["points"]:
        lines += ["", f"`{point['case']['name']}`: {remark(point)}", ""]
        lines.append(f"| {' | '.join(columns(point))} |")
        lines.append(f"|---|{'---:|' * (len(columns(point)) - 1)}")
        lines += [f"| {' | '.join(row)} |" for row in rows(point)]
        lines += [f"\n{line}" for line in problems(point)]
    return "\n".join(lines)


def text_table(point: Json) -> str:
    """Return a point's table in columns of spaces, for the bare entry."""
    lines = _aligned([columns(point), *rows(point)])
    return "\n".join([point["case"]["name"], *lines, remark(point), *problems(point)])


def summary(document: Json) -> str:
    """Return a line for each point: clairkit against bare products and against the best peer."""
    table = [["point", "auto s", "of bare", "MB", "nats", "best other", "its time", "least MB"]]
    for point in document["points"]:
        found = {result["variant"]: result for result in point["results"]}
        ours = found.get(OURS)
        if ours is None or ours["status"] != "ok" or not ours["seconds"]:
            status = "absent" if ours is None else ours["status"]
            table.append([point["case"]["name"], status, *[_NOTHING] * 6])
            continue
        base = _counts(point)[0]
        table.append(
            [
                point["case"]["name"],
                _digits(ours["time"]["median"]),
                _ratio(ours["against_bare"].get(base)),
                number(ours["memory"]["extra_bytes"] / MB),
                f"{max(ours['accuracy']['nats']):.1e}",
                *_best_other(point),
            ]
        )
    lines = _aligned(table)
    wrong = [f"PARITY FAILED: {name}" for name in document["parity_failed"]]
    lacking = [
        f"{point['case']['name']}: {line}"
        for point in document["points"]
        for line in problems(point)
    ]
    return "\n".join([*lines, *wrong, *lacking])


def _best_other(point: Json) -> list[str]:
    """Return (the fastest other variant, its time over ours, the least memory over ours)."""
    others = [
        result
        for result in point["results"]
        if result["group"] != "clairkit" and result["against_ours"]
    ]
    if not others:
        return [_NOTHING] * 3
    best = min(others, key=lambda result: float(result["against_ours"]["median"]))
    least = min(result["memory_against_ours"] for result in others)
    return [best["variant"], _ratio(best["against_ours"]), f"{least:.2f}x"]


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def _counts(point: Json) -> list[str]:
    return ["4"] if point["case"]["head"] == "frozen" else ["8", "6"]


def _row(point: Json, result: Json) -> list[str]:
    sound, accuracy = result["status"] == "ok", result["accuracy"]
    bare = [_ratio(result["against_bare"].get(count)) for count in _counts(point)]
    ours = _ratio(result["against_ours"]) if sound else result["status"]
    memory, share = result["memory"], result["memory_against_ours"]
    errors = [_NOTHING] * (2 + (point["case"]["head"] == "full"))
    if accuracy is not None:
        values = [
            max(accuracy["nats"], key=lambda nats: float("inf") if nats is None else nats),
            accuracy["hidden"],
        ]
        values += [accuracy["weight"]] * (point["case"]["head"] == "full")
        errors = ["NaN" if value is None else f"{value:.1e}" for value in values]
    return [
        result["variant"],
        *_seconds(result),
        *bare,
        ours,
        _NOTHING if memory is None else number(memory["extra_bytes"] / MB),
        _NOTHING if share is None else f"{share:.2f}x",
        *errors,
    ]


def _seconds(result: Json) -> list[str]:
    """Return the median and the range, with the count of rounds where there is but one."""
    if not result["seconds"]:
        return [_NOTHING, _NOTHING]
    low, high = min(result["seconds"]), max(result["seconds"])
    once = len(result["seconds"]) == 1
    return [
        _digits(result["time"]["median"]),
        "1 round" if once else f"{_digits(low)}-{_digits(high)}",
    ]


def _digits(seconds: float) -> str:
    return number(seconds) if seconds >= 0.1 else f"{seconds:.2g}"


def _ratio(spread: Mapping[str, float] | None) -> str:
    return _NOTHING if spread is None else f"{spread['median']:.2f}x"
