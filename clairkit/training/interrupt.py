"""Ctrl-C and SIGTERM while training: the step under way is finished and a checkpoint written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback


class StopOnSignal(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Ends the training after the step in which a signal came; `signal` is its number."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.signal: int | None = None
        self._say = say
        self._stepping = False

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_kwargs: Any) -> None:
        """Called by the Trainer before the first step; until then there is nothing to save."""
        self._stepping = True

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_kwargs: Any) -> None:
        """Called by the Trainer after each step."""
        if self.signal is not None:
            control.should_save = True
            control.should_training_stop = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over both signals; one before the first step, or a second one, leaves at once.

        Main thread only.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self.signal is not None or not self._stepping:
                before = earlier[signal.Signals(number)]
                if callable(before):
                    before(number, frame)
                raise KeyboardInterrupt
            self.signal = number
            self._say("Stopping after this step, with a checkpoint. Once more to leave at once.")

        numbers = (signal.SIGINT, signal.SIGTERM)
        earlier = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, earlier[number])
