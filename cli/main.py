"""Entry point: finds the command lazily, turns errors into messages and exit codes once."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from clairkit import __version__
from clairkit.display import printable, redact
from clairkit.errors import ClairError

# Command -> (module, one-line help). The help stands here so that `clairkit --help` imports none.
COMMANDS = {
    "build-pairs": ("build_pairs", "Answers and their minimal revisions, as preference pairs."),
    "score": ("score", "What really differs between the two sides of each pair."),
    "train": ("train", "Train a model on pairs with an anchored loss."),
    "evaluate": ("evaluate", "Exactly right answers on held-out prompts, with an interval."),
    "bench": ("bench", "Time and memory, against an independent implementation."),
    "doctor": ("doctor", "What this machine offers, and what is missing."),
    "quickstart": ("quickstart", "The whole road on a small model that ships inside."),
}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clairkit")
def cli() -> None:
    """Align an open-weights language model on one GPU.

    The road: prompts -> answers -> revisions -> scored pairs -> training -> evaluation.
    Every arrow is one command; every command resumes where it stopped.
    """


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that `finally` blocks run."""


def _on_sigterm(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Under LANG=C a model's text must not end the program.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _on_sigterm)
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout.fileno())
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code. Prints each error once, to stderr."""
    try:
        result = cli.main(args=arguments, prog_name="clairkit", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("Interrupted.", 130)
    except click.ClickException as error:
        return _say(_usage(error), 2)
    except ClairError as error:
        return _say(f"Error: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _say("Interrupted.", 130)
    except Terminated:
        return _say("Terminated.", 143)
    except BrokenPipeError:
        _silence(sys.stdout.fileno())
        return 0
    except Exception:  # the last resort: a bug, shown whole but without secrets
        return _say(_bug_report(), 1)
    return result if isinstance(result, int) else 0


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f"\nTry '{context.command_path} --help'." if context is not None else ""
    return f"Error: {error.format_message()}{hint}"


def _bug_report() -> str:
    import traceback

    return (
        f"{traceback.format_exc()}\n"
        "This is a bug in clairkit. Please report it with the text above and `clairkit doctor`."
    )


def _say(message: str, code: int) -> int:
    try:
        sys.stderr.write(redact(printable(message)) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        _silence(sys.stderr.fileno())
    return code


def _silence(descriptor: int) -> None:
    """Point a closed pipe at the null device, so that the interpreter's own flush is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
