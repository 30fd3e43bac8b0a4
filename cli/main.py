"""Enter the command line: find the command lazily, turn errors into messages and codes once."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from clairkit import __version__
from clairkit.cli.shared.console import emit, silence
from clairkit.cli.shared.streams import messages, own_process, results
from clairkit.display import printable, redact
from clairkit.errors import ClairError, nearest
from clairkit.user_code import refuse_silent_ends

# Command -> (module, one-line help). The help stands here so that `clairkit --help` imports none.
COMMANDS = {
    "build-pairs": (
        "build_pairs.command",
        "Answers and their minimal revisions, as preference pairs.",
    ),
    "explain": ("explain", "From a pair back to its prompt, replies and edits."),
    "verify": ("verify", "Whether pairs, replies and manifest are as they were made."),
    "merge": ("merge", "Pairs of several shards, with their journals, in one."),
    "remove": ("remove", "Remove one person's rows, and what was made of them."),
    "score": ("score.command", "What really differs between the two sides of each pair."),
    "report": ("report", "One HTML page: what the pairs teach, and each of them."),
    "calibrate": ("calibrate", "Which rubric or template agrees with your labels."),
    "train": ("train", "Train a model on pairs with an anchored loss."),
    "plan": ("plan", "Whether a training run fits, how long it takes, its cost."),
    "evaluate": (
        "evaluate.command",
        "Is the new model better: checks and judges, with intervals.",
    ),
    "sweep": ("sweep", "Which data, which loss, which strength: trials and a choice."),
    "label": ("label", "Ask people, blind: pages for them, and their votes."),
    "pilot": ("pilot", "From prompts to a decision: seven gates and a memo."),
    "bench": ("bench.command", "Time and memory, against an independent implementation."),
    "doctor": ("doctor", "What this machine offers, and what is missing."),
    "quickstart": ("quickstart", "The whole road on a small model that ships inside."),
}

# What the machine lacks, whoever found out: not a bug of ours.
_NO_MEANS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
)


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"clairkit.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f" Did you mean '{near}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clairkit")
def cli() -> None:
    """Align an open-weights language model on one GPU.

    The road: prompts -> answers -> revisions -> scored pairs -> training -> evaluation.
    Every arrow is one command, and each can be run again alone.
    """


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that `finally` blocks run."""


def _on_sigterm(_signum: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one does not wait
    raise Terminated


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    _prepare_streams()
    own_process()
    refuse_silent_ends()
    signal.signal(signal.SIGTERM, _on_sigterm)
    code = run(arguments)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        emit("", results())
    except ClairError as error:
        code = code or _say(f"Error: {error}", error.exit_code)
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code. Prints each error once, to stderr."""
    before = sys.stdout
    try:
        result = cli.main(args=arguments, prog_name="clairkit", standalone_mode=False)
    except click.exceptions.Abort as error:
        if isinstance(error.__cause__, EOFError):  # no command asks anything
            return _say(_bug_report(), 1)
        return _say("Interrupted.", 130)
    except click.ClickException as error:
        return _say(_usage(error), 2)
    except ClairError as error:
        return _say(f"Error: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _say("Interrupted.", 130)
    except Terminated:
        return _say("Terminated.", 143)
    except SystemExit as error:
        if sys.stdout is before:  # outside of any command: nobody of ours does that
            return _unexpected(RuntimeError(f"a library ended the program: {error!r}"))
        # click put another stream there because the reader of its help has gone.
        silence(before)
        sys.stdout = before
        return 0
    except Exception as error:
        return _unexpected(error)
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """Make both streams writable in any locale, and there even when they were closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Else the next file that is opened would get its number, and our output with it.
            descriptor = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            setattr(sys, name, os.fdopen(descriptor, "w" if number else "r"))
    for stream in (sys.stdout, sys.stderr):
        # Under LANG=C a model's text must not end the program.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _usage(error: click.ClickException) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()  # it is the help
    context = getattr(error, "ctx", None)
    hint = f"\nTry '{context.command_path} --help'." if context is not None else ""
    return f"Error: {error.format_message()}{hint}"


def _unexpected(error: Exception) -> int:
    """Report what no command foresaw: the machine's limits as such, all else as a bug."""
    if isinstance(error, BrokenPipeError):  # not through our console: a library's own output
        silence(results())
        return _say("Error: a pipe was closed while the command was at work.", 4)
    if isinstance(error, MemoryError):
        return _say("Error: the memory of this machine is used up.", 5)
    if (path := _looping(error)) is not None:
        return _say(f"Error: {path}: the link leads back to itself. Give the file itself", 3)
    if isinstance(error, OSError) and error.errno in _NO_MEANS:
        place = error.filename or "the standard output cannot be written"
        return _say(f"Error: {place} ({error.strerror}).", 5)
    return _say(_bug_report(), 1)


def _looping(error: Exception) -> str | None:
    """Return the path of a symbolic link that leads back to itself, if that is the error."""
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return str(error.filename)
    words = str(error)  # of pathlib, before Python 3.13
    is_loop = isinstance(error, RuntimeError) and words.startswith("Symlink loop from ")
    return words.removeprefix("Symlink loop from ").strip("'\"") if is_loop else None


def _bug_report() -> str:
    import traceback

    return (
        f"{traceback.format_exc()}\n"
        "This is a bug in clairkit. Please report it with the text above and `clairkit doctor`."
    )


def _say(message: str, code: int) -> int:
    emit(redact(printable(message)) + "\n", messages())
    return code
