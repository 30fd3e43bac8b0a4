"""Plans against the peak of real runs, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from clairkit.records import Pair, write_pairs

SETTINGS = ("max_steps=2", "use_cpu=true", "save_strategy=no", "max_length=null")
# Not so near: adapters, and checkpointing of large parts, of which the C library keeps freed blocks
# (docs/plan.md).
WITHIN = 0.15


def write_model(folder: Path) -> str:
    """A model whose step takes about as much as the libraries, so that a wrong plan shows."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16_384,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def write_texts(path: Path) -> str:
    def text(word: str, count: int) -> str:
        return " ".join([word, "quick", "brown"] * count)

    write_pairs(
        path,
        [
            Pair(
                prompt=({"role": "user", "content": text(f"{n} fox", 20)},),
                chosen=({"role": "assistant", "content": text("dog", 40 + n)},),
                rejected=({"role": "assistant", "content": text("fox", 40 + n)},),
            )
            for n in range(16)
        ],
    )
    return str(path)


def told(command: str, *options: str) -> dict[str, Any]:
    """Return the result of a command in a process of its own."""
    line = [sys.executable, "-m", "clairkit.cli", command, *options, "--json", "--quiet"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="defaults"),
        pytest.param(
            ("tokens_per_step=4096", "optim=adafactor"), id="large parts", marks=pytest.mark.long
        ),
        pytest.param(("gradient_checkpointing=true",), id="checkpointing", marks=pytest.mark.long),
    ],
)
def test_a_plan_is_near_the_peak_of_the_run(more: tuple[str, ...], tmp_path: Path) -> None:
    options = [
        "--model",
        write_model(tmp_path / "model"),
        "--pairs",
        write_texts(tmp_path / "pairs.jsonl"),
    ]
    for setting in (*SETTINGS, *more):
        options += ["--set", setting]
    plan = told("plan", *options)
    assert plan["peak"] > 1.2 * plan["parts"]["runtime"]
    measured = told("train", *options, "-o", str(tmp_path / "run"))["peak_memory_mb"]
    assert plan["peak"] / 1e6 == pytest.approx(measured, rel=WITHIN)
