"""Finish the step under way and write a checkpoint at Ctrl-C and SIGTERM."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopAtStep(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Ends the training after a step, with a checkpoint; the schedule stays that of all steps.

    Args:
        at: the step, or below 1 a share of all steps, rounded up.
    """

    def __init__(self, at: float) -> None:
        self._at = at

    def is_reached(self, state: TrainerState) -> bool:
        """Return whether the step is done, and the run is not."""
        step = math.ceil(state.max_steps * self._at) if self._at < 1 else self._at
        return bool(step <= state.global_step < state.max_steps)

    def on_step_end(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *_: object,
        **__: object,
    ) -> None:
        """Called by the Trainer after each step."""
        if self.is_reached(state):
            control.should_save = control.should_training_stop = True


class EvaluationStopped(Exception):
    """Breaks off an evaluation in which a signal came."""


class StopOnSignal(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Ends the training after the step in which a signal came; `signal` is its number.

    Of several processes, all stop after the same step, also when only one got the signal.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.signal: int | None = None
        self._say = say
        self._stepping = False
        self._alone = True

    def on_train_begin(self, args: TrainingArguments, *_: object, **__: object) -> None:
        """Called by the Trainer before the first step; until then there is nothing to save."""
        self._stepping = True
        self._alone = args.world_size == 1

    def on_step_end(self, args: Any, _state: Any, control: Any, *_: Any, **__: Any) -> None:
        if not self._alone:
            self.signal = _largest(self.signal, args.device)
        if self.signal is not None:
            control.should_save = True
            control.should_training_stop = True

    def on_prediction_step(self, args: TrainingArguments, *_: object, **__: object) -> None:
        """Called by the Trainer after each batch of an evaluation.

        An evaluation that says which checkpoint is the best is finished: without it the run would
        end with other weights. So is one of several processes, which wait for one another.
        """
        if self.signal is not None and self._alone and args.metric_for_best_model is None:
            self._say(
                "The evaluation was broken off and isn't made up for; training goes on exact."
            )
            raise EvaluationStopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over both signals; one before the first step, or a second one, leaves at once.

        A second one is no wish to leave at once in a run of several processes: their launcher sends
        it after the terminal did, and kills what has not ended in time. Main thread only.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            if self.signal is None and self._stepping:
                self.signal = number
                self._say(
                    "Stopping after this step, with a checkpoint. Once more to leave at once."
                )
            elif self._alone or not self._stepping:
                before = earlier.get(number)
                if callable(before):
                    before(number, frame)
                raise KeyboardInterrupt

        with _handled(stop) as earlier:
            yield


@contextmanager
def held_back() -> Iterator[None]:
    """Finish the block, a save, before a signal is heeded; a second one is heeded at once."""
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if noted:
            noted.clear()
            signal.signal(number, earlier[number])
            signal.raise_signal(number)
        else:
            noted.append(number)

    try:
        with _handled(note) as earlier:
            yield
    finally:
        if noted:
            signal.raise_signal(noted[0])


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[dict[int, Any]]:
    """Set the handler of both signals in the main thread; gives those of before."""
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    earlier: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        signal.signal(number, handler)
    try:
        yield earlier
    finally:
        for number in _SIGNALS:
            signal.signal(number, earlier[number])


def _largest(number: int | None, device: torch.device) -> int | None:
    """Return the largest signal number of all processes, None when none got one."""
    found = torch.tensor([number or 0], device=device)
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return int(found.item()) or None
