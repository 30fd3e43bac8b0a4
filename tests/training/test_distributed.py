"""Several processes train as one does: data parallel, and sharded by FSDP2."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from many_processes import train_in, uneven_pairs
from safetensors.torch import load_file
from tiny import make_llama, make_tokenizer

from clairkit.records import write_pairs
from clairkit.training.checkpoint.checkpoints import fault

# 13 pairs, 4 in a batch: four batches of which the last holds one pair, in two steps an epoch. Of
# two processes one has three repeated pairs in it. Pairs of up to 110 tokens, 150 in a part.
SETTINGS = {
    "logging_steps": 1,
    "learning_rate": 1e-3,
    "gradient_accumulation_steps": 2,
    "num_train_epochs": 2,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "save_strategy": "no",
    "use_cpu": True,
    "tokens_per_step": 150,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    for name, tied in (("model", False), ("tied", True)):
        make_llama(tie_word_embeddings=tied).save_pretrained(folder / name)
        make_tokenizer().save_pretrained(folder / name)
    write_pairs(folder / "pairs.jsonl", uneven_pairs(13))
    write_pairs(folder / "eval.jsonl", uneven_pairs(5, seed=1))
    return {
        "model": str(folder / "model"),
        "pairs": str(folder / "pairs.jsonl"),
        "eval_pairs": str(folder / "eval.jsonl"),
    }


def batches(count: int) -> dict[str, int]:
    return dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size"), 4 // count)


def rows(run: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl without clocks, and without what a resumed part sums up."""
    clocks = ("runtime", "per_second", "total_flos", "train_loss")
    return [
        {key: value for key, value in json.loads(line).items() if not key.endswith(clocks)}
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]


def assert_same_run(run: Path, expected: Path) -> None:
    """Equal metrics and weights, but for the order in which floats are added up."""
    found = rows(run)
    assert len(found) == len(rows(expected))
    for row, other in zip(found, rows(expected), strict=True):
        assert row == pytest.approx(other, rel=2e-5, abs=2e-5)
    (name,) = (path.name for path in expected.glob("*model.safetensors"))
    weights, others = load_file(run / name), load_file(expected / name)
    # sharded, transformers writes tied weights under both of their names
    assert weights.keys() - others.keys() <= {"lm_head.weight"}
    for key, other in others.items():
        assert float((weights[key] - other).abs().max()) < 1e-5, key


CASES = {
    "weights": {},
    "tied": {"model": "tied"},
    "LoRA": {"use_peft": True, "lora_r": 4},
    "sft": {"loss": "apo_zero+0.1*sft"},
    "masked, padded, head frozen": {
        "loss_mask": "weighted",
        "padding_free": False,
        "freeze": ["lm_head*"],
    },
    "checkpointed activations": {"gradient_checkpointing": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(case: str, inputs: dict[str, str], tmp_path: Path) -> None:
    changes = dict(CASES[case])
    flags = dict(inputs)
    if "model" in changes:
        flags["model"] = str(Path(inputs["model"]).with_name(changes.pop("model")))
    settings = {**SETTINGS, **changes}
    train_in(1, {**flags, "output": str(tmp_path / "one")}, settings | batches(1))
    for kind, sharded in (("ddp", ""), ("fsdp", "FULL_STATE_DICT")):
        run = tmp_path / kind
        ended = train_in(2, {**flags, "output": str(run)}, settings | batches(2), sharded=sharded)
        assert not any(one.error for one in ended)
        assert_same_run(run, tmp_path / "one")
        # sharded, all must run the same number of parts; else each runs as many as it has
        same = ended[0].parts == ended[1].parts
        assert same if sharded else (not same or "padding_free" in settings)
        assert max(ended[0].parts) > 1
    assert rows(tmp_path / "one")[0]["loss"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("sharded", ["", "FULL_STATE_DICT", "SHARDED_STATE_DICT"])
def test_a_signal_to_one_process_stops_both_and_they_resume_to_the_same_end(
    sharded: str, inputs: dict[str, str], tmp_path: Path
) -> None:
    settings = SETTINGS | batches(2) | {"save_strategy": "steps", "save_steps": 2}
    runs = {name: {**inputs, "output": str(tmp_path / name)} for name in ("whole", "stopped")}
    train_in(2, runs["whole"], settings, sharded=sharded)
    ended = train_in(2, runs["stopped"], settings, sharded=sharded, stop=(1, 3))
    assert [one.signal for one in ended] == [15, 15]
    assert fault(tmp_path / "stopped" / "checkpoint-3") is None
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    ended = train_in(2, runs["stopped"], settings, sharded=sharded)
    assert [one.signal for one in ended] == [None, None]
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")
    train_in(1, {**inputs, "output": str(tmp_path / "one")}, SETTINGS | batches(1))
    assert_same_run(tmp_path / "stopped", tmp_path / "one")


def launch(run: Path, inputs: dict[str, str], *options: str, **settings: Any) -> Popen[str]:
    """Start `clairkit train` in two processes as a user does."""
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in inputs.items()]
    sets = [f"--set={key}={value}" for key, value in {**SETTINGS, **batches(2), **settings}.items()]
    return Popen(
        [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes=2",
            "--num_machines=1",
            "--mixed_precision=no",
            "--dynamo_backend=no",
            "--main_process_port=0",
            "-m",
            "clairkit.cli",
            "train",
            *flags,
            *sets,
            "-o",
            str(run),
            *options,
        ],
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        cwd=run.parent,
    )


@pytest.mark.slow
def test_the_command_under_accelerate_launch(inputs: dict[str, str], tmp_path: Path) -> None:
    process = launch(tmp_path / "two", inputs, "--json")
    train_in(1, {**inputs, "output": str(tmp_path / "one")}, SETTINGS | batches(1))
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["steps"] == 4  # one object
    for line in ("Training pairs: 13 of 13", "Kernel: ", "Reference: ", "step 4/4", "Next: "):
        assert stderr.count(line) == 1, line
    assert_same_run(tmp_path / "two", tmp_path / "one")
    assert {"README.md", "run.json", "training.html"} <= {
        p.name for p in (tmp_path / "two").iterdir()
    }


@pytest.mark.slow
def test_sigterm_to_the_launcher_leaves_a_checkpoint(
    inputs: dict[str, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = launch(run, inputs, max_steps=100_000, eval_strategy="no")
    while process.poll() is None and not (run / "metrics.jsonl").exists():
        time.sleep(0.1)
    process.terminate()
    _, stderr = process.communicate()
    assert process.returncode != 0
    (checkpoint,) = run.glob("checkpoint-*")
    assert fault(checkpoint) is None, stderr
    assert stderr.count("To go on:") == 1
    assert not (run / "model.safetensors").exists()
