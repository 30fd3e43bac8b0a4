"""The kernel suite without the command line's libraries: `python -m clairkit.bench.kernels --help`.

Needs torch and what `PYTHONPATH` finds of `clairkit.kernels` and `clairkit.bench`; peers where they
are installed. `clairkit bench --suite kernels` does the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from clairkit.bench.kernels import plot
from clairkit.bench.kernels.report import NOTES, absences, describe, markdown, summary, text_table
from clairkit.bench.kernels.run import DEFAULT_PEERS, Choices, Document, measure, verdict
from clairkit.bench.kernels.worker import KernelSettings


def parser() -> argparse.ArgumentParser:
    """Return the options of the bare entry."""
    made = argparse.ArgumentParser(
        prog="python -m clairkit.bench.kernels", description="Measure head and loss against peers."
    )
    made.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="PATTERN",
        help="this point, or those that match; repeatable",
    )
    made.add_argument("--quick", action="store_true", help="tiny points, to see that it works")
    made.add_argument("--peers", default=",".join(DEFAULT_PEERS), help="default: %(default)s")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument(
        "--budget-seconds", type=float, help="begin no point later; apart: measure nothing later"
    )
    made.add_argument(
        "--apart",
        action=argparse.BooleanOptionalAction,
        help="each variant stays in a process of its own, as by default on a GPU",
    )
    made.add_argument(
        "--ready-seconds",
        type=float,
        default=KernelSettings.ready_seconds,
        help="apart: leave out what is not compiled and tuned by then  [default: %(default)g]",
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="written after each measurement")
    made.add_argument("--resume", action="store_true", help="keep the points that FILE holds")
    made.add_argument(
        "--from",
        type=Path,
        metavar="FILE",
        dest="source",
        help="measure nothing, show what FILE holds",
    )
    made.add_argument("--plot", type=Path, metavar="FILE.svg")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="Markdown in place of tables")
    form.add_argument("--summary", action="store_true", help="a line a point in place of tables")
    made.add_argument("--commit", help="for the JSON, where no git can tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite and return the exit code, as `clairkit bench` has them."""
    options = parser().parse_args(arguments)
    try:
        document = _document(options)
    except ValueError as error:
        _say(f"Error: {error}")
        return 2
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(plot.draw(document), encoding="utf-8")
    _finish(options, document)
    code, said = verdict(document)
    if said:
        _say(f"Error: {said}")
    return code


def _document(options: argparse.Namespace) -> Document:
    if options.source is None:
        return measure(_choices(options), _say, lambda point: _show(options, point))
    document: Document = json.loads(options.source.read_text(encoding="utf-8"))
    for point in document["points"]:
        _show(options, point)
    return document


def _choices(options: argparse.Namespace) -> Choices:
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    peers = tuple(name for name in options.peers.split(",") if name)
    seconds = options.budget_seconds
    minutes = None if seconds is None else seconds / 60
    return Choices(
        options.case,
        options.quick,
        peers,
        device,
        options.rounds,
        minutes,
        options.json,
        options.resume,
        options.commit,
        options.apart,
        options.ready_seconds,
    )


def _show(options: argparse.Namespace, point: dict[str, Any]) -> None:
    if not (options.markdown or options.summary):
        _print(text_table(point) + "\n")


def _finish(options: argparse.Namespace, document: Document) -> None:
    if options.markdown:
        _print(markdown(document))
        return
    if options.summary:
        _print(summary(document))
    for text in (*absences(document), NOTES, describe(document)):
        _print(text)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
