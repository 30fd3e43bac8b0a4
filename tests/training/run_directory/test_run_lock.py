"""Two runs in one directory: the second is refused with the holder's name."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from some_pairs import some_pairs
from tiny import make_llama, make_tokenizer

from clairkit.errors import UsageError
from clairkit.records import write_pairs
from clairkit.training import PreferenceTrainer, TrainConfig, resolve, run_training
from clairkit.training.run_directory.lock import _lock_of, hold_run


def hold(run: Path, held: Any) -> None:
    """Work on a run until killed; in a process of its own."""
    with hold_run(run):
        held.set()
        time.sleep(600)


@pytest.fixture
def files(tmp_path: Path, model_folder: Path) -> dict[str, str]:
    write_pairs(tmp_path / "pairs.jsonl", some_pairs(4))
    return {
        "model": str(model_folder),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"),
    }


SETTINGS = ["use_cpu=true", "max_steps=1", "save_steps=1"]


def test_the_second_of_two_runs_names_the_first_and_touches_nothing(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    forks = multiprocessing.get_context("fork")  # which need not import anything
    held = forks.Event()
    holder = forks.Process(target=hold, args=(run, held), daemon=True)
    holder.start()
    while not held.wait(1):
        assert holder.is_alive()
    named = f"process {holder.pid} is working on this output, on {socket.gethostname()} since 20"
    (tmp_path / "link").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    for output in (str(run), "run", str(tmp_path / "link")):
        for how in ({}, {"force": True}):
            with pytest.raises(UsageError, match=named):
                run_training(resolve({**files, "output": output}, SETTINGS), **how)
    assert not run.exists()
    holder.kill()
    holder.join()
    assert run_training(resolve(files, SETTINGS)).steps == 1  # a dead holder's lock is free
    assert not list(tmp_path.glob(".run.lock"))


def test_a_directory_in_one_that_cannot_be_written_is_locked_within(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mounted volume is; root, who runs tests in containers, may write anywhere."""
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with hold_run(run, resume=False):
        assert [path.name for path in run.iterdir()] == [".lock"]
        with pytest.raises(UsageError, match="is working on this output"):
            run_training(resolve(files, SETTINGS))
    (run / ".lock").touch()  # of a run that was killed
    assert run_training(resolve(files, SETTINGS)).steps == 1
    assert _lock_of(Path("/")) == Path("/.lock")  # a folder without a name


def test_a_run_lets_go_of_its_directory_when_it_fails(
    files: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        run_training(resolve({**files, "model": "/nowhere"}, SETTINGS))
    run_training(resolve(files, SETTINGS))
    assert run_training(resolve(files, SETTINGS), resume=True).steps == 1
    assert str(os.getpid()) not in "".join(path.name for path in tmp_path.iterdir())


def test_a_trainer_that_is_made_in_python_holds_the_lock_too(tmp_path: Path) -> None:
    arguments = {"max_steps": 1, "use_cpu": True, "save_strategy": "no"}
    config = TrainConfig(model="m", pairs="p", output=str(tmp_path / "run"), arguments=arguments)
    trainer = PreferenceTrainer(make_llama(), make_tokenizer(), config, some_pairs(4))
    with hold_run(tmp_path / "run"), pytest.raises(UsageError, match="is working on this output"):
        trainer.train()
    assert trainer.state.global_step == 0
    assert trainer.train().global_step == 1
    assert not _lock_of(tmp_path / "run").exists()
