"""Commands in processes of their own, forked in milliseconds, that fail or die at a moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from moments import Clock, Moment, watch_disk

_PRELOADED = (
    "datasets",
    "pyarrow.parquet",
    "clairkit.cli.build_pairs.command",
    "clairkit.cli.build_pairs.batches",
    "clairkit.cli.merge",
    "clairkit.cli.remove",
    "clairkit.cli.verify",
    "clairkit.cli.evaluate.command",
    "clairkit.cli.evaluate.show",
    "clairkit.cli.explain",
    "clairkit.cli.score.command",
    "clairkit.generation.engine",
    "clairkit.engine.scheduler",
    "clairkit.generation.batch.run",
    "clairkit.audit.remove",
    "clairkit.audit.merge",
    "clairkit.models.function",
    "clairkit.models.server.model",
    "clairkit.evaluation.run",
    "reviser_functions",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it did to the disk, and what it said."""

    code: int
    seen: tuple[str, ...]
    said: str

    @property
    def is_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class CommandForks:
    """A process that has imported what commands need, and forks each of them.

    Args:
        folder: for what the commands say.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder
        paths = [str(Path(__file__).parent), *filter(None, sys.path)]
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "OPENAI_API_KEY": "of-tests",
                "OMP_NUM_THREADS": "1",
            },
        )

    def run(
        self,
        folder: Path,
        arguments: Sequence[str],
        moment: Moment | None = None,
        *,
        can_exchange: bool = True,
    ) -> Ended:
        """Run `clairkit ARGUMENTS` in a folder; at the moment it fails, or is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = None if moment is None else [moment.count, moment.kind, moment.error]
        order = [str(folder), str(self._log), list(arguments), asked, can_exchange]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        kinds = json.loads((self._log / "seen.json").read_text() or "[]")
        return Ended(code, tuple(kinds), (self._log / "said").read_text(errors="replace"))

    def __enter__(self) -> CommandForks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _command(
    folder: str,
    log: str,
    arguments: list[str],
    moment: list[int | str | None] | None,
    can_exchange: bool,
) -> int:
    """Run a command in this process, which is its own."""
    from clairkit.cli.main import run
    from clairkit.records import output

    said = os.open(Path(log) / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(said, number)
    seen = os.open(Path(log) / "seen.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.chdir(folder)
    clock = Clock(None if moment is None else Moment(*moment))  # type: ignore[arg-type]
    clock.before(output, "exchange", "rename")
    if not can_exchange:
        output.exchange = lambda *_: False
    watch_disk(clock)
    code = run(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(seen, json.dumps(clock.seen).encode())
    return code


def main() -> None:
    """Fork a command for each line of the standard input."""
    import gc
    import importlib

    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # what was forked is not looked through again and again
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 1
            try:
                code = _command(*json.loads(line))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - for who started it


if __name__ == "__main__":
    main()
