"""Sweeps of stand-in trials: what is run where, what dies, what is kept, what is chosen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sweeps import fake_processes, make_spec, starts

from clairkit.errors import RemoteError, UsageError
from clairkit.sweep import SweepResult, run_sweep
from clairkit.sweep.run import device_variables

MANY = [0.41, 0.42, 0.43, 0.44, 0.45, 0.46, 0.47]

pytestmark = pytest.mark.slow  # each starts some dozen processes


@pytest.fixture
def sweep(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a sweep of stand-ins in a folder of its own."""

    def run(name: str = "sweep", *, devices: Any = ("cpu",), **changes: Any) -> SweepResult:
        flags = {key: changes.pop(key) for key in ("resume", "retry", "say") if key in changes}
        spec = make_spec(inputs, **changes)
        processes = fake_processes(tmp_path, monkeypatch)
        return run_sweep(spec, tmp_path / name, devices=devices, processes=processes, **flags)

    return run


def test_the_better_strength_is_chosen_and_the_command_repeats_it(
    sweep: Any, tmp_path: Path, inputs: Path
) -> None:
    found = sweep()
    assert found.choice.is_separable
    assert found.chosen.setting.to_json() == {"pairs": "one", "beta": 0.8}
    assert found.exit_code() == 0
    words = found.command.split()
    assert words[:6] == ["clairkit", "train", "--model", str(inputs / "model"), "--pairs",
                         str(inputs / "one.jsonl")]  # fmt: skip
    assert "--beta 0.8" in found.command
    assert "--set seed=0" in found.command
    written = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert written["schema"] == 1
    assert len(written["trials"]) == 8
    assert [row["seeds"] for row in written["table"]] == [2] * 4
    assert all(row["low"] < row["estimate"] < row["high"] for row in written["table"])


def test_the_base_is_asked_once_and_each_trial_is_trained_and_measured_once(
    sweep: Any, tmp_path: Path
) -> None:
    sweep()
    counts = Counter(line.split()[0] for line in starts(tmp_path))
    assert counts == {"train": 8, "evaluate": 9}
    again = sweep(resume=True)
    assert again.exit_code() == 0
    assert len(starts(tmp_path)) == 17


def test_a_trial_that_dies_is_named_and_the_others_are_kept(sweep: Any, inputs: Path) -> None:
    losses = ["sft", "hinge", "ipo", "robust", "exo_pair"]
    base = {"model": str(inputs / "model"), "pairs": str(inputs / "one.jsonl"), "beta": 0.8}
    found = sweep(base=base, pairs=None, factors={"loss": losses})
    kinds = {name.split("-")[1]: each["kind"] for name, each in found.died.items()}
    assert kinds == {
        "hinge": "out of memory",
        "ipo": "not finite",
        "robust": "disk full",
        "exo_pair": "killed (SIGKILL)",
    }
    assert found.died["001-hinge-seed1"]["reason"].startswith("out of memory while training")
    assert found.exit_code() == 4
    assert not found.unfinished
    assert [each.remark for each in found.settings] == ["", "1 died", "1 died", "1 died"]
    assert found.chosen.setting.values == {"loss": "sft"}


def test_what_died_is_tried_again_when_asked(
    sweep: Any, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = {"loss": ["sft", "hinge"], "beta": [0.8]}
    base = {"model": str(inputs / "model")}
    assert len(sweep(base=base, factors=factors).died) == 2
    before = len(starts(tmp_path))
    assert len(sweep(base=base, factors=factors, resume=True).died) == 2
    assert len(starts(tmp_path)) == before
    assert len(sweep(base=base, factors=factors, resume=True, retry=True).died) == 2
    assert len(starts(tmp_path)) == before + 2


def test_halving_goes_on_with_the_better_half_from_its_checkpoints(
    sweep: Any, tmp_path: Path
) -> None:
    found = sweep(factors={"beta": [0.8, *MANY]}, strategy="halving")
    rungs = [(line.split()[2], line.split()[3]) for line in starts(tmp_path) if "train" in line]
    assert Counter(rungs) == {("0.25", "0"): 32, ("0.5", "5"): 16, ("1", "10"): 8}
    assert found.steps == 32 * 20 / 2
    assert found.chosen.setting.values == {"beta": 0.8}
    shares = [each.share for each in found.settings]
    assert Counter(shares) == {0.25: 8, 0.5: 4, 1.0: 4}
    assert "halving stopped it at 25%" in {each.remark for each in found.settings}


def test_each_gpu_has_one_trial_at_a_time(sweep: Any, tmp_path: Path) -> None:
    sweep(devices=("0", "1"))
    trained = [line.split()[-1] for line in starts(tmp_path) if line.startswith("train")]
    assert set(trained) == {"0", "1"}
    assert len(trained) == 8


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert device_variables(("cpu", "cpu")) == [
        {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "4"}
    ] * 2  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert device_variables(("3",)) == [{"CUDA_VISIBLE_DEVICES": "3"}]


def test_a_budget_ends_it_after_the_first_seed_of_all(sweep: Any, tmp_path: Path) -> None:
    found = sweep(budget={"trials": 4})
    assert found.over_budget
    assert (found.unfinished, found.exit_code()) == (4, 4)
    assert {each.setting.number for each in found.settings} == {0, 1, 2, 3}
    assert found.choice.name is None
    assert "one seed" in found.reason
    more = sweep(budget={"cost": 1000.0}, resume=True)
    assert (more.unfinished, more.exit_code()) == (0, 0)


def test_a_setting_whose_guard_fails_is_not_chosen(sweep: Any) -> None:
    found = sweep(factors={"beta": [0.3, 0.2]})
    assert {each.remark for each in found.settings} == {"guard sums violated"}
    assert found.chosen is None
    assert found.reason == "no setting's guards hold"
    assert found.exit_code() == 8


def test_a_judge_out_of_reach_ends_the_sweep_and_no_trial_is_blamed(
    sweep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_REMOTE", "1")
    with pytest.raises(RemoteError, match="the server refuses the key"):
        sweep()
    monkeypatch.delenv("FAKE_REMOTE")
    found = sweep(resume=True)
    assert (len(found.died), found.unfinished) == (0, 0)


def test_another_sweep_does_not_go_on_in_the_folder(sweep: Any) -> None:
    sweep(budget={"trials": 1})
    with pytest.raises(UsageError, match=r"the folder holds a sweep.*--resume"):
        sweep()
    with pytest.raises(UsageError, match="begun with another"):
        sweep(resume=True, seeds=[0])


def test_two_machines_share_one_study(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with a folder of its own; the second finds what the first has done."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    processes = fake_processes(tmp_path, monkeypatch)
    first = make_spec(inputs, budget={"trials": 3})
    run_sweep(first, tmp_path / "a", storage=url, processes=processes)
    found = run_sweep(make_spec(inputs), tmp_path / "b", storage=url, processes=processes)
    assert found.exit_code() == 0
    trained = [line.split()[1] for line in starts(tmp_path) if line.startswith("train")]
    assert len(trained) == len(set(trained)) == 8
    assert len(list((tmp_path / "a" / "trials").iterdir())) == 3
    assert len(list((tmp_path / "b" / "trials").iterdir())) == 5


_RUN = """
import sys
from pathlib import Path
from clairkit.sweep import read_sweep, run_sweep, run
from clairkit.sweep.process import Processes
run.check_settings = lambda spec: None
found = run_sweep(read_sweep(sys.argv[1]), Path(sys.argv[2]), resume=True,
                  processes=Processes("fake_trials"), devices=sys.argv[3].split(","))
sys.exit(found.exit_code())
"""


def driven(spec: str, folder: Path, devices: str = "cpu") -> subprocess.Popen[bytes]:
    """Start a sweep as a process of its own."""
    words = [sys.executable, "-c", _RUN, spec, str(folder), devices]
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


def table(folder: Path) -> Any:
    """Return what sweep.json says, times and attempts aside."""
    found = json.loads((folder / "sweep.json").read_text())
    for trial in found["trials"]:
        for rung in trial["rungs"]:
            del rung["seconds"]
    del found["spent"], found["command"]
    return found


def test_a_signal_drains_and_the_trial_goes_on_from_its_checkpoint(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_processes(tmp_path, monkeypatch)
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    spec = make_spec(inputs)
    process = driven(spec.path, tmp_path / "sweep")
    while not (tmp_path / "starts.txt").exists() or len(starts(tmp_path)) < 4:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    begun = len(starts(tmp_path))
    assert begun < 17
    monkeypatch.setenv("FAKE_SECONDS", "0")
    assert driven(spec.path, tmp_path / "sweep").wait(300) == 0
    trained = [line.split()[1] for line in starts(tmp_path) if line.startswith("train")]
    assert max(Counter(trained).values()) == 2


@pytest.mark.long
def test_killed_fifty_times_it_ends_with_the_same_table(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halving and a trial that dies among them; kills fall anywhere, on the second lane, too."""
    import random

    fake_processes(tmp_path, monkeypatch)
    spec = make_spec(inputs, factors={"beta": [*MANY, 0.8]}, strategy="halving")
    assert driven(spec.path, tmp_path / "whole", "cpu,cpu").wait(600) == 0
    chance = random.Random(20261201)
    monkeypatch.setenv("FAKE_SECONDS", "0.05")
    kills = rounds = 0
    while kills < 50:
        folder = tmp_path / f"killed{rounds}"
        rounds += 1
        while True:
            process = driven(spec.path, folder, "cpu,cpu")
            try:
                assert process.wait(chance.uniform(0.5, 6)) == 0
                break
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
        assert table(folder) == table(tmp_path / "whole")
