"""Measure time and peak memory of a piece of work. Imports torch alone.

Time: repetitions of all variants alternate, so that other load on the machine hits each of them,
and a ratio is taken within each round. Memory: how far the high-water mark rises above what the
process holds just before the work; meant for a process that measures one thing.
"""

from __future__ import annotations

import ctypes
import gc
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from clairkit.kernels.memory import proc_bytes

_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
_SAMPLE_SECONDS = 0.0005
# A reset that leaves the mark further than this above the present size did not work.
_RESET_SLACK = 8 << 20


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some numbers."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Times:
    """Seconds of each variant, a number a round; a variant that ran out of memory is in `failed`.

    The n-th numbers of all variants come from the same round.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def first_rounds(seconds: Sequence[float], base: Sequence[float]) -> Spread | None:
    """Return the spread of seconds / base over the rounds that both were in, None without any.

    A variant that sits out rounds was in the first ones, and each ratio is of one round.
    """
    found = [ours / theirs for ours, theirs in zip(seconds, base, strict=False)]
    return Spread.of(found) if found else None


def turns(names: Sequence[str], index: int) -> list[str]:
    """Return the names in the order of a round: it rotates from round to round."""
    first = index % max(len(names), 1)
    return [*names[first:], *names[:first]]


def interleave(
    steps: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warmup: int = 1,
    device: torch.device | None = None,
    between: Callable[[], object] = lambda: None,
    patience: Mapping[str, float] | None = None,
) -> Times:
    """Time every step once a round, in an order that rotates from round to round.

    Args:
        steps: by variant; they are independent of one another.
        rounds: that count.
        warmup: rounds before, not counted (first-run compilation, caches).
        device: waited for before and after each step; None for a CPU.
        between: called before each step, not timed (drops the gradients).
        patience: by variant, the seconds of its counted rounds after which it sits out the others:
            it then has fewer numbers, of the first rounds.
    """
    times = Times({name: [] for name in steps})
    limits = patience or {}
    resting: set[str] = set()
    was_enabled, was_frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.disable()
    gc.freeze()  # what is there stays: collecting between steps looks at the steps' own rubbish
    try:
        for index in range(warmup + rounds):
            alive = [name for name in steps if name not in times.failed and name not in resting]
            for name in turns(alive, index):
                try:
                    seconds = timed_step(steps[name], device, between)
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    times.failed[name] = str(error).splitlines()[0]
                    del times.seconds[name]
                    continue
                if index >= warmup:
                    times.seconds[name].append(seconds)
                    if sum(times.seconds[name]) >= limits.get(name, math.inf):
                        resting.add(name)
    finally:
        if not was_frozen:  # else what the caller froze would thaw too
            gc.unfreeze()
        if was_enabled:
            gc.enable()
    return times


def timed_step(
    step: Callable[[], object], device: torch.device | None, between: Callable[[], object]
) -> float:
    """Return the seconds of a step; `between` goes before, not timed, and so does what waits."""
    between()
    gc.collect()
    synchronize(device)
    start = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device | None) -> None:
    """Wait until a GPU has done what it was given."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory was used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error).lower() for text in _OUT_OF_MEMORY
    )


@dataclass(frozen=True)
class Peak:
    """The most memory that a piece of work held beyond what was there before it."""

    extra_bytes: int
    baseline_bytes: int
    method: str


StopPeak = Callable[[], Peak]


def peak_extra(work: Callable[[], object], device: torch.device) -> Peak:
    """Run `work` and return its peak memory above the present one, as `start_peak` measures it."""
    stop = start_peak(device)
    work()
    return stop()


def start_peak(device: torch.device) -> StopPeak:
    """Return what tells the peak memory since now, beyond what is held now.

    On a GPU the allocator's own count. On a CPU the process's resident memory: its high-water
    mark where the system lets it be reset (Linux), else samples, else its lifetime's mark.
    """
    if device.type == "cuda":
        return _cuda_peak(device)
    settle()
    for start in (_reset_mark_peak, _sampled_peak):
        stop = start()
        if stop is not None:
            return stop
    return _lifetime_peak()


def settle() -> None:
    """Give freed memory back to the system, else the next work would reuse it unnoticed."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _cuda_peak(device: torch.device) -> StopPeak:
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)

    def stop() -> Peak:
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
        return Peak(peak - before, before, "torch.cuda.max_memory_allocated")

    return stop


def _reset_mark_peak() -> StopPeak | None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    before = proc_bytes("self/status", "VmRSS")
    if before is None or (proc_bytes("self/status", "VmHWM") or 0) > before + _RESET_SLACK:
        return None
    return lambda: Peak(
        (proc_bytes("self/status", "VmHWM") or before) - before, before, "VmHWM after a reset"
    )


def _sampled_peak() -> StopPeak | None:
    before = proc_bytes("self/status", "VmRSS")
    if before is None:
        return None
    samples, over = [before], threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            samples[0] = max(samples[0], proc_bytes("self/status", "VmRSS") or 0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()

    def stop() -> Peak:
        over.set()
        watcher.join()
        return Peak(samples[0] - before, before, "VmRSS sampled")

    return stop


def _lifetime_peak() -> StopPeak:
    """Count the mark before as the baseline: too low a result where set-up held more."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024

    def mark() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    before = mark()
    return lambda: Peak(mark() - before, before, "ru_maxrss, never reset")
