"""A signal before the first step has nothing to save, and leaves at once."""

from __future__ import annotations

import os
import signal

import pytest

from clairkit.training.interrupt import StopOnSignal


def test_before_the_first_step_it_leaves_at_once() -> None:
    stop = StopOnSignal(lambda text: None)
    with pytest.raises(KeyboardInterrupt), stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.signal is None


def test_the_handler_of_before_decides_how_to_leave() -> None:
    class Left(Exception):
        pass

    def leave(*_args: object) -> None:
        raise Left

    before = signal.signal(signal.SIGTERM, leave)
    try:
        stop = StopOnSignal(lambda text: None)
        with pytest.raises(Left), stop.listening():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, before)


def test_while_training_the_first_one_is_noted_and_the_second_leaves() -> None:
    said: list[str] = []
    stop = StopOnSignal(said.append)
    with stop.listening():
        stop.on_train_begin(None, None, None)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        assert "with a checkpoint" in said[0]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
