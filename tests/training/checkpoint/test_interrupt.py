"""Signals: before the first step, within a step, an evaluation or a save, and a second one."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_runs import make_pairs
from tiny import make_llama, make_tokenizer
from two_processes import train_two

from clairkit.training import PreferenceTrainer, TrainConfig
from clairkit.training.checkpoint.interrupt import EvaluationStopped, StopOnSignal, held_back


class Arguments:
    """What the callback reads of the Trainer's arguments."""

    metric_for_best_model: str | None = None
    device = torch.device("cpu")

    def __init__(self, world_size: int = 1) -> None:
        self.world_size = world_size


class Control:
    should_save = should_training_stop = False


class Left(Exception):
    """A handler's own way to leave."""


def send(number: int) -> None:
    signal.raise_signal(number)


def training(said: list[str], world_size: int = 1) -> StopOnSignal:
    stop = StopOnSignal(said.append)
    stop.on_train_begin(Arguments(world_size), None, None)
    return stop


def test_before_the_first_step_it_leaves_at_once() -> None:
    """So it does while the reference is computed: there is nothing to save yet."""
    stop = StopOnSignal(lambda text: None)
    with pytest.raises(KeyboardInterrupt), stop.listening():
        send(signal.SIGINT)
    assert stop.signal is None


def test_the_handler_of_before_decides_how_to_leave() -> None:
    def leave(*_args: object) -> None:
        raise Left

    before = signal.signal(signal.SIGTERM, leave)
    try:
        stop = StopOnSignal(lambda text: None)
        with pytest.raises(Left), stop.listening():
            send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, before)


def test_while_training_the_first_one_is_noted_and_the_second_leaves() -> None:
    said: list[str] = []
    stop = training(said)
    with stop.listening():
        send(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        assert "with a checkpoint" in said[0]
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_the_step_under_way_is_the_last_one() -> None:
    stop, control = training([]), Control()
    stop.on_step_end(Arguments(), None, control)
    assert not control.should_training_stop
    with stop.listening():
        send(signal.SIGTERM)
    stop.on_step_end(Arguments(), None, control)
    assert control.should_save
    assert control.should_training_stop


def test_a_launcher_that_sends_it_once_more_does_not_end_the_step() -> None:
    stop = training([], world_size=2)
    with stop.listening():
        send(signal.SIGINT)
        send(signal.SIGTERM)
    assert stop.signal == signal.SIGINT


def test_in_another_thread_signals_are_left_alone() -> None:
    failures: list[BaseException] = []

    def listen() -> None:
        try:
            with training([]).listening(), held_back():
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert not failures


def save(signals: int) -> list[str]:
    """Save while some signals come; return what was done by the time that one was heeded."""
    done = []
    try:
        with held_back():
            for _ in range(signals):
                send(signal.SIGINT)
                done.append("went on")
    except KeyboardInterrupt:
        done.append("left")
    return done


def test_a_save_is_finished_before_the_signal_is_heeded_and_a_second_one_breaks_it_off() -> None:
    handler = signal.getsignal(signal.SIGINT)
    assert save(signals=1) == ["went on", "left"]
    assert save(signals=2) == ["went on", "left"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_signal_within_a_save_of_a_training_is_the_first_one() -> None:
    stop = training([])
    with stop.listening():
        with held_back():
            send(signal.SIGTERM)
            assert stop.signal is None
        assert stop.signal == signal.SIGTERM


def test_an_evaluation_is_broken_off_unless_the_outcome_hangs_on_it() -> None:
    said: list[str] = []
    stop = training(said)
    stop.on_prediction_step(Arguments(), None, None)
    stop.signal = signal.SIGTERM
    best = Arguments()
    best.metric_for_best_model = "loss"
    stop.on_prediction_step(best, None, None)
    with pytest.raises(EvaluationStopped):
        stop.on_prediction_step(Arguments(), None, None)
    many = training([], world_size=2)
    many.signal = signal.SIGTERM
    many.on_prediction_step(Arguments(2), None, None)


def test_a_signal_in_an_evaluation_leaves_a_checkpoint_of_its_step(tmp_path: Path) -> None:
    arguments = {
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 1,
        "max_steps": 4,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    config = TrainConfig(model="m", pairs="p", output=str(tmp_path / "run"), arguments=arguments)
    said: list[str] = []
    stop = StopOnSignal(said.append)
    trainer = PreferenceTrainer(
        make_llama(), make_tokenizer(), config, make_pairs(8), make_pairs(5), callbacks=[stop]
    )
    batches = []
    step = trainer.prediction_step

    def with_signal(*args: Any, **kwargs: Any) -> Any:
        batches.append(1)
        if len(batches) == 2:
            send(signal.SIGTERM)
        return step(*args, **kwargs)

    trainer.prediction_step = with_signal
    with stop.listening():
        assert trainer.train().global_step == 2
    assert len(batches) == 2
    assert [folder.name for folder in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    assert "evaluation was broken off" in said[-1]


@pytest.mark.slow
def test_all_processes_stop_after_the_same_step(tmp_path: Path) -> None:
    """Though only one of them got the signal."""
    run = tmp_path / "run"
    assert train_two(run, max_steps=4, stop=(1, 2)) == [2, 2]
    assert [folder.name for folder in run.glob("checkpoint-*")] == ["checkpoint-2"]
