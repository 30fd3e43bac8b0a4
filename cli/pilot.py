"""Define `clairkit pilot`: init, next, status, memo."""

from __future__ import annotations

import getpass
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.console import Console, output_options
from clairkit.errors import EvidenceError, GateError
from clairkit.texts import languages

if TYPE_CHECKING:
    from clairkit.pilot.gates import Gate
    from clairkit.pilot.steps import Step
    from clairkit.pilot.survey import Survey

_LANGUAGES = languages("pilot/texts")
_folder = click.argument("folder", metavar="DIR", default=".")


@click.group("pilot", short_help="From prompts to a decision: seven gates and a memo.")
def command() -> None:
    """Walk a pilot from prompts to a decision.

    A pilot is a folder with pilot.yaml. It has seven gates, and each is judged by the files that
    the other commands leave there: figures with n, interval, file and hash. `pilot next` runs the
    next station, or says what a person has to do.
    """


@command.command("init")
@click.argument("folder", metavar="DIR")
@click.option(
    "--language",
    type=click.Choice(_LANGUAGES),
    default="en",
    show_default=True,
    help="Of the comments, the memo, and pages for raters.",
)
@output_options
def init_command(folder: str, language: str, as_json: bool, quiet: bool) -> None:
    """Begin a pilot in DIR: write pilot.yaml, with each field explained."""
    from clairkit.pilot.pilot_file import init_pilot

    console = Console(as_json=as_json, quiet=quiet)
    path = init_pilot(Path(folder), language)
    console.show(f"Pilot: {path}. Fill it in; then:\n{_command('next', folder)}")
    console.result({"output": str(path), "language": language})


@command.command("status")
@_folder
@output_options
def status_command(folder: str, as_json: bool, quiet: bool) -> None:
    """Show the seven gates of the pilot in DIR, each with its evidence."""
    from clairkit.pilot.pilot_file import find_pilot
    from clairkit.pilot.survey import survey

    console = Console(as_json=as_json, quiet=quiet)
    found = survey(find_pilot(folder))
    _show_gates(console, found)
    _show_next(console, found)
    console.result({**found.to_json(), "next": _next_json(found)})


@command.command("next")
@_folder
@click.option(
    "--override",
    type=click.IntRange(1, 6),
    metavar="GATE",
    help="Go past this gate, 1 to 6; --why is needed, and the memo shows it.",
)
@click.option("--why", metavar="TEXT", help="Why the gate is overridden.")
@click.option("--who", metavar="NAME", help="Who overrides it; by default the user's name.")
@click.option("--dry-run", is_flag=True, help="Print the command and run nothing.")
@output_options
def next_command(
    folder: str,
    override: int | None,
    why: str | None,
    who: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run the next station of the pilot in DIR, or say what a person has to do.

    The command that runs is printed before. After Ctrl-C or a kill the same call goes on where it
    stopped. The exit code is 0 when the station's gate has passed, 7 when a gate has failed, 8 when
    more evidence or a person's work is needed, else that of the station's command.

    With --override, note who goes past a gate and why, and run nothing. It holds as long as the
    gate says what it said then.
    """
    from clairkit.pilot.pilot_file import find_pilot
    from clairkit.pilot.steps import next_step
    from clairkit.pilot.survey import survey

    console = Console(as_json=as_json, quiet=quiet)
    pilot = find_pilot(folder)
    found = survey(pilot)
    if override is not None:
        return _override(console, found, override, who, why)
    if why is not None or who is not None:
        raise click.UsageError("--why and --who belong to --override")
    step = next_step(found)
    if step is None or not step.commands or dry_run:
        _show_next(console, found)
        console.result({**found.to_json(), "next": _next_json(found)})
        _stop_at_gate(found)
        return 0 if step is None or dry_run else EvidenceError.exit_code
    if code := _run_all(console, found, step):
        return code
    after = survey(pilot)
    console.result({**after.to_json(), "next": _next_json(after)})
    _show_gates(console, after, only=found.current)
    _show_next(console, after)
    _stop_at_gate(after)
    return EvidenceError.exit_code if _is_stuck(found, after) else 0


@command.command("memo")
@_folder
@click.option("-o", "--output", metavar="FILE.html", required=True, help="The page.")
@click.option(
    "--language",
    "code",
    type=click.Choice(_LANGUAGES),
    help="Of the memo; by default that of pilot.yaml.",
)
@click.option("--force", is_flag=True, help="Replace a file that is no memo.")
@output_options
def memo_command(
    folder: str, output: str, code: str | None, force: bool, as_json: bool, quiet: bool
) -> None:
    """Write one printed A4 page about the pilot in DIR, for the person who decides.

    It says what was tried, what it cost, what changed, what could go wrong, when it pays, what is
    recommended, and on which files, with their hashes, that rests. It may be written at any time.
    """
    from clairkit.pilot.memo import is_memo, make_memo
    from clairkit.pilot.pilot_file import find_pilot
    from clairkit.pilot.survey import survey
    from clairkit.records import atomic_write, check_output

    console = Console(as_json=as_json, quiet=quiet)
    pilot = find_pilot(folder)
    path = check_output(output, force=force or is_memo(Path(output)))
    memo = make_memo(survey(pilot), code or pilot.language)
    with atomic_write(path) as file:
        file.write(memo.html.encode())
    console.show(f"Memo: {output}. Recommendation: {memo.recommendation}.")
    console.result(
        {"output": output, "recommendation": memo.key, "language": code or pilot.language}
    )


def _override(
    console: Console, found: Survey, number: int, who: str | None, why: str | None
) -> int:
    from clairkit.pilot.overrides import add_override
    from clairkit.pilot.survey import survey

    if why is None:
        raise click.UsageError('--override needs --why "…"')
    gate = found.gates[number - 1]
    made = add_override(found.pilot.folder, gate, who or _user(), why)
    after = survey(found.pilot)
    console.show(f"Gate {number} is overridden by {made.who}: {made.why}")
    _show_next(console, after)
    console.result({**after.to_json(), "next": _next_json(after)})
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("the user has no name here; give --who NAME") from None


def _run_all(console: Console, found: Survey, step: Step) -> int:
    from clairkit.cli.shared.child import run_child
    from clairkit.pilot.steps import shown

    for words in step.commands:
        console.note(f"{_there(found)}{shown(words)}")
        code = run_child(words, found.pilot.folder, as_json=console.as_json, quiet=console.quiet)
        if code not in (0, EvidenceError.exit_code, GateError.exit_code):
            console.warn(f"The command ended with {code}. To go on:\n{_again(found)}")
            return code
    return 0


def _is_stuck(before: Survey, after: Survey) -> bool:
    """Return whether the same gate is open, and no further command would change that."""
    from clairkit.pilot.steps import next_step

    old, new, step = before.current, after.current, next_step(after)
    if old is None or new is None or old.number != new.number:
        return False
    return old.reason == new.reason or step is None or not step.commands


def _stop_at_gate(found: Survey) -> None:
    """Raise the error of a gate that has failed; what waits is told by the exit code."""
    from clairkit.pilot.survey import gate_name, reason_text

    gate = found.current
    if gate is None or gate.state != "failed":
        return
    problem = f"gate {gate.number}, {gate_name(gate.number)}, has failed: {reason_text(gate)}"
    way = f'{_again(found)} --override {gate.number} --why "…"'
    raise GateError(problem, remedy=f"mend it and make its files anew, or go past it:\n{way}")


def _show_gates(console: Console, found: Survey, only: Gate | None = None) -> None:
    from clairkit.pilot.show import figure_text
    from clairkit.pilot.survey import gate_name, reason_text, words

    if only is None:
        console.show(found.pilot.title)
    for gate in found.gates:
        if only is not None and only.number != gate.number:
            continue
        override = found.override(gate)
        state = gate.state if gate.state == "passed" or override is None else "overridden"
        console.show(f"{gate.number} {words('en')['states'][state]}: {gate_name(gate.number)}")
        console.show(f"    {reason_text(gate)}")
        for file in dict.fromkeys(figure.file for figure in gate.evidence):
            figures = [figure for figure in gate.evidence if figure.file == file]
            for figure in figures:
                console.show(f"    {figure_text(figure)}")
            console.show(f"      {file} {figures[0].sha256[:16]}")
        if override is not None and gate.state != "passed":
            console.show(f"    by {override.who}, {override.when[:10]}: {override.why}")


def _show_next(console: Console, found: Survey) -> None:
    from clairkit.pilot.steps import next_step, shown

    step = next_step(found)
    if found.current is None:
        console.show("All gates are behind you. The memo:")
        console.show(f"{_command('memo', str(found.pilot.folder))} -o memo.html")
    elif step is not None and step.commands:
        console.show("Next, by `clairkit pilot next`:")
        for words in step.commands:
            console.show(f"{_there(found)}{shown(words)}")
    elif step is not None:
        console.show(f"Next, gate {found.current.number}: {step.instruction(found.pilot)}")
        for words in step.person_commands:
            console.show(f"{_there(found)}{shown(words)}")


def _next_json(found: Survey) -> dict[str, object] | None:
    from clairkit.pilot.steps import next_step, shown

    step = next_step(found)
    if step is None:
        return None
    commands = step.commands or step.person_commands
    return {
        "who": "clairkit" if step.commands else "person",
        "instruction": step.instruction(found.pilot),
        "commands": [shown(words) for words in commands],
    }


def _there(found: Survey) -> str:
    folder = found.pilot.folder
    return "" if folder.samefile(".") else f"cd {shlex.quote(str(folder))} && "


def _again(found: Survey) -> str:
    return _command("next", str(found.pilot.folder))


def _command(name: str, folder: str) -> str:
    return f"clairkit pilot {name}" + ("" if folder == "." else f" {shlex.quote(folder)}")
