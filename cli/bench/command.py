"""Define `clairkit bench`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from clairkit.bench.options import options_of
from clairkit.cli.bench.kernels import find_device, wrapped
from clairkit.cli.shared.console import Console

if TYPE_CHECKING:
    from pathlib import Path

    from clairkit.bench.results import CaseResult
    from clairkit.bench.step.cases import StepCase
    from clairkit.bench.step.suite import StepSuite
    from clairkit.records.json_types import JsonObject

_STDOUT = "-"


def _measured_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of both suites, as `clairkit.bench.options` lists them."""
    for option in reversed(options_of("both", "step", "kernels")):
        kind: Any = option.kind
        if isinstance(kind, tuple):
            kind = click.Choice(kind)
        elif kind in (int, float):
            kind = (click.IntRange if kind is int else click.FloatRange)(option.least)
        function = click.option(
            *option.flags,
            option.name,
            type=kind,
            is_flag=kind is bool,
            multiple=option.many,
            metavar=option.metavar,
            default=option.default,
            show_default=option.default is not None,
            help=option.help or None,
        )(function)
    return function


@click.command("bench", short_help="Time and memory, against TRL and others.")
@click.option("--suite", type=click.Choice(["step", "kernels"]), default="step", show_default=True)
@_measured_options
@click.option(
    "--json",
    "as_json",
    metavar="[FILE]",
    is_flag=False,
    flag_value=_STDOUT,
    help="One JSON object: into FILE, or without one on stdout, all else on stderr.",
)
@click.option("--quiet", is_flag=True, help="Print no progress.")
def command(suite: str, as_json: str | None, quiet: bool, markdown: bool, **choices: Any) -> None:
    """Measure training steps, or the head and loss alone (--suite kernels).

    step: a whole step of clairkit's trainer (forward, loss, backward, clipping, optimizer), also
    with prompts not shared and with padding, against TRL's DPOTrainer (--peers trl) or a plain
    trainer in torch and transformers alone. All see the same random model and the same pairs, each
    in a process of its own. kernels: head and preference loss against bare matrix products and
    other libraries, accuracy against float64 beside every time.

    A variant's figures count once its loss, log-probs and gradients are right; otherwise PARITY
    FAILED stands in their place. Exits with 7 then, and with 4 where something failed or clairkit
    ran out of memory (step: where any variant did).
    """
    console = Console(as_json=as_json == _STDOUT, quiet=quiet)
    target = _check_target(as_json)
    _check_suite(suite, target, **choices)
    if suite == "kernels":
        from clairkit.cli.bench.kernels import measure_kernels

        measure_kernels(console, target, markdown, **choices)
    else:
        _measure_step(console, target, markdown, choices)


def _check_suite(suite: str, target: Path | None, **choices: Any) -> None:
    from clairkit.errors import UsageError

    for option in options_of("step", "kernels"):
        if choices[option.name] and option.scope != suite:
            raise UsageError(
                f"{option.flags[-1]} is an option of --suite {option.scope}", remedy="leave it out"
            )
    if choices["resume"] and target is None:
        raise UsageError("--resume needs the file of the run before", remedy="add --json FILE")


def _measure_step(
    console: Console, target: Path | None, markdown: bool, choices: JsonObject
) -> None:
    import time
    from importlib.metadata import version

    from clairkit.bench.measure.machine import describe_machine, load
    from clairkit.bench.results import document

    suite = _suite(choices)
    settings = suite.settings
    before, start = load(), time.perf_counter()
    found = []
    for case in suite.run(console.note):
        found.append(case)
        if not markdown:
            _show(console, case)
    told = {
        "quick": choices["quick"],
        "rounds": settings.rounds,
        "warmup": settings.warmup,
        "peers": {name: version("trl") if name == "trl" else None for name in suite.peers},
        "kernels": list(suite.kernels),
        "load_before": before,
        "load_after": load(),
        "wall_seconds": round(time.perf_counter() - start, 1),
    }
    machine = describe_machine(settings.device, settings.threads)
    result = document("step", found, machine, told)
    _finish(console, result, found, markdown)
    if target is not None:
        _write(target, result)
    console.result(result)
    _judge(found)


def _check_target(value: str | None) -> Path | None:
    """Return the file that the JSON goes to, found out before minutes are spent."""
    if value is None or value == _STDOUT:
        return None
    from clairkit.records import check_output

    return check_output(value, force=True)


def _suite(choices: JsonObject) -> StepSuite:
    from dataclasses import replace

    import torch

    from clairkit.bench.step.suite import StepSuite
    from clairkit.bench.step.trainers import Settings

    cases = _cases(choices["quick"], choices["case"])
    rounds = choices["rounds"] or (3 if choices["quick"] else 5)
    settings = Settings(find_device(choices["device"]), torch.get_num_threads(), rounds)
    peers = _step_peers(choices["peers"] or "plain")
    suite = StepSuite(cases, settings, peers, _known(choices["kernel"]))
    _check_known("variant", choices["variant"], suite.variants)
    return replace(suite, only=choices["variant"])


def _step_peers(text: str) -> tuple[str, ...]:
    from importlib.util import find_spec

    from clairkit.bench.step.suite import PEERS
    from clairkit.errors import UsageError
    from clairkit.extras import install_command

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    _check_known("peer of a training step", names, PEERS)
    if "trl" in names and find_spec("trl") is None:
        raise UsageError("trl is not installed", remedy=f"run {install_command('trl')}")
    return names


def _known(kernels: tuple[str, ...]) -> tuple[str, ...]:
    from clairkit.kernels import available_backends

    _check_known("kernel", kernels, ("auto", *available_backends()))
    return kernels


def _cases(quick: bool, names: tuple[str, ...]) -> Sequence[StepCase]:
    from clairkit.bench.step.cases import QUICK, SUITE

    known = {case.name: case for case in (*QUICK, *SUITE)}
    _check_known("case", names, known)
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return QUICK if quick else SUITE


def _check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    from clairkit.errors import UsageError

    for name in names:
        if name not in known:
            remedy = f"there are {', '.join(known)}"
            raise UsageError(f"no such {what}", received=name, remedy=remedy)


def _show(console: Console, case: CaseResult) -> None:
    from clairkit.bench.results import COLUMNS, rows, speed_ups

    console.table(case.case.name, COLUMNS, rows(case))
    for line in speed_ups(case):
        wrapped(console, line)
    for result in case.results:
        if result.problem:
            wrapped(console, f"{result.variant}: {result.status}, {result.problem}")


def _finish(
    console: Console, result: JsonObject, cases: Sequence[CaseResult], as_markdown: bool
) -> None:
    from clairkit.bench.results import NOTE, describe, markdown

    if as_markdown:
        console.show(markdown(result, cases))
        return
    wrapped(console, NOTE)
    wrapped(console, describe(result["machine"], result["settings"]))


def _write(target: Path, result: JsonObject) -> None:
    from clairkit.records import atomic_write

    with atomic_write(target) as file:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1)
        file.write(f"{text}\n".encode())


def _judge(cases: Sequence[CaseResult]) -> None:
    """Raise what the exit code shall tell: a failed check before all else."""
    from clairkit.errors import GateError, PartialError, ResourceError

    found = [
        (f"{case.case.name}: {result.variant}", result.status)
        for case in cases
        for result in case.results
    ]
    wrong = [name for name, status in found if status == "PARITY FAILED"]
    if wrong:
        raise GateError(
            f"parity failed, {len(wrong)} in all: {wrong[0]}",
            remedy="read their lines above; no ratio of theirs means anything",
        )
    lost = [name for name, status in found if status in ("OOM", "ERROR")]
    if lost and len(lost) == len(found):
        raise ResourceError(
            f"nothing could be measured ({lost[0]})",
            remedy="read the lines above; `clairkit doctor`",
        )
    if lost:
        raise PartialError(
            f"not measured, {len(lost)} in all: {lost[0]}", remedy="read their lines above"
        )
