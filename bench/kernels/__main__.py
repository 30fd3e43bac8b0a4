"""Run the kernel suite without the command line's libraries: `python -m clairkit.bench.kernels`.

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

from clairkit.bench.kernels.report import NOTES, absences, describe, markdown, summary, text_table
from clairkit.bench.kernels.run import Choices, Document, Point, measure, verdict
from clairkit.bench.options import Option, options_of


def parser() -> argparse.ArgumentParser:
    """Return the options of the bare entry."""
    made = argparse.ArgumentParser(
        prog="python -m clairkit.bench.kernels", description="Measure head and loss against peers."
    )
    for option in options_of("both", "kernels", "bare"):
        made.add_argument(*option.flags, dest=option.name, help=option.help, **_settings(option))
    return made


def _settings(option: Option) -> dict[str, Any]:
    if option.kind is bool:
        return {"action": "store_true"}
    if isinstance(option.kind, tuple):
        return {"choices": option.kind, "default": option.default}
    action = "append" if option.many else "store"
    default: object = [] if option.many else option.default
    return {"action": action, "type": option.kind, "metavar": option.metavar, "default": default}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite and return the exit code, as `clairkit bench` has them."""
    options = vars(parser().parse_args(arguments))
    try:
        document = _document(options)
    except ValueError as error:
        _say(f"Error: {error}")
        return 2
    _finish(options, document)
    if options["plot"] is not None:
        from clairkit.bench.kernels.plot import draw

        target = Path(options["plot"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(draw(document))
    code, said = verdict(document)
    if said:
        _say(f"Error: {said}")
    return code


def _document(options: dict[str, Any]) -> Document:
    source = options["from"]
    if source is None:
        output = None if options["json"] is None else Path(options["json"])
        if options["device"] == "auto":
            options["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        choices = Choices.of(options, output)
        return measure(choices, _say, lambda point: _show(options, point))
    document: Document = json.loads(Path(source).read_text(encoding="utf-8"))
    for point in document["points"]:
        _show(options, point)
    return document


def _show(options: dict[str, Any], point: Point) -> None:
    if not (options["markdown"] or options["summary"]):
        _print(text_table(point) + "\n")


def _finish(options: dict[str, Any], document: Document) -> None:
    if options["markdown"]:
        _print(markdown(document))
        return
    if options["summary"]:
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
