"""Show the progress of model calls on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.engine.progress import Progress

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_DRAWINGS = 0.1


class ProgressLine:
    """One line that is written over on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._last = time.monotonic()
        self._is_open = False

    def update(self, progress: Progress) -> None:
        """Show how far a run is, not too often."""
        now = time.monotonic()
        pause = _SECONDS_BETWEEN_DRAWINGS if self._live else _SECONDS_BETWEEN_LINES
        if self._console.quiet or now - self._last < pause:
            return
        self._last = now
        if self._live:
            width = max(shutil.get_terminal_size().columns - 1, 1)
            self._draw(progress_text(progress, width), width)
        else:
            self._console.note(progress_text(progress))

    def say(self, text: str) -> None:
        """Write a remark below the line."""
        self.end()
        self._console.note(text)

    def end(self) -> None:
        """Leave the line."""
        if self._is_open:
            sys.stderr.write("\n")
            self._is_open = False

    def _draw(self, text: str, width: int) -> None:
        sys.stderr.write(f"\r{text[:width]:{width}}")
        sys.stderr.flush()
        self._is_open = True


def progress_text(progress: Progress, width: int | None = None) -> str:
    """Return how far a run is, the most important first: what does not fit `width` is left out."""
    text = ""
    for part in _parts(progress):
        longer = f"{text}, {part}" if text else part
        if width is not None and len(longer) > width:
            break
        text = longer
    return text


def _parts(progress: Progress) -> Iterator[str]:
    from clairkit.journal.prices import dollars

    total = "" if progress.total is None else f"/{progress.total:,}"
    yield f"{progress.done:,}{total} rows"
    left = progress.seconds_left
    if left is not None and left >= 1:
        yield f"{_duration(left)} left"
    if progress.cost:
        yield dollars(progress.cost)
    if progress.completion_tokens:
        yield f"{progress.completion_tokens / max(progress.seconds, 1e-3):,.0f} tokens/s"
    for code, count in progress.failures.most_common(3):
        yield f"{count:,} {code}"
    if len(progress.calls) > 1:
        for step, count in sorted(progress.calls.items()):
            yield f"{count:,} {step}"


def _duration(seconds: float) -> str:
    """Return seconds as people read them: 42 s, 7 min, 3 h 05 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
