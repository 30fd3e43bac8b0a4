"""Run `clairkit bench --suite kernels`: options and output around `clairkit.bench.kernels.run`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clairkit.cli.shared.console import Console, width_of
from clairkit.cli.shared.streams import messages, results

if TYPE_CHECKING:
    from clairkit.bench.kernels.run import Document, Point


def find_device(device: str) -> str:
    """Return the device to measure on.

    Raises:
        ResourceError: it is not there.
    """
    import torch

    from clairkit.errors import ResourceError

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ResourceError("torch sees no CUDA device", remedy="leave --device out")
    return ("cuda" if there else "cpu") if device == "auto" else device


def wrapped(console: Console, text: str) -> None:
    """Show prose, broken between words to the width of the output."""
    width = width_of(messages() if console.as_json else results())
    console.show(textwrap.fill(text, width, break_on_hyphens=False))


def measure_kernels(
    console: Console, target: Path | None, markdown: bool, plot: str | None, **choices: Any
) -> None:
    """Measure, show, write, and raise what the exit code shall tell.

    Args:
        console: where all is shown.
        target: file of the JSON, written after each point.
        markdown: Markdown in place of tables.
        plot: file of the SVG.
        **choices: the options of the command.

    Raises:
        UsageError: the options name no case that can be measured.
    """
    from clairkit.bench.kernels.run import Choices, measure
    from clairkit.errors import UsageError

    image = None if plot is None else _check_plot(plot)
    choices["device"] = find_device(choices["device"])

    def show(point: Point) -> None:
        if not markdown:
            _show(console, point)

    try:
        document = measure(Choices.of(choices, target), console.note, show)
    except ValueError as error:
        raise UsageError(str(error)) from error
    _finish(console, document, markdown)
    if image is not None:
        _write_plot(image, document)
    console.result(document)
    _judge(document)


def _show(console: Console, point: Point) -> None:
    from clairkit.bench.kernels.report import columns, problems, remark, rows

    console.table(point["case"]["name"], columns(point), rows(point))
    for line in (remark(point), *problems(point)):
        wrapped(console, line)


def _finish(console: Console, document: Document, as_markdown: bool) -> None:
    from clairkit.bench.kernels.report import NOTES, absences, describe, markdown

    if as_markdown:
        console.show(markdown(document))
        return
    for text in (*absences(document), NOTES, describe(document)):
        wrapped(console, text)


def _check_plot(path: str) -> Path:
    from importlib.util import find_spec

    from clairkit.errors import UsageError
    from clairkit.extras import install_command
    from clairkit.records import check_output

    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib", remedy=f"run {install_command('peers')}")
    return check_output(path, force=True)


def _write_plot(target: Path, document: Document) -> None:
    from clairkit.bench.kernels.plot import draw
    from clairkit.records import atomic_write

    with atomic_write(target) as file:
        file.write(draw(document))


def _judge(document: Document) -> None:
    from clairkit.bench.kernels.run import verdict
    from clairkit.errors import GateError, PartialError, ResourceError

    code, said = verdict(document)
    remedy = "read the lines above"
    for kind in (GateError, PartialError, ResourceError):
        if kind.exit_code == code:
            raise kind(said, remedy=remedy)
