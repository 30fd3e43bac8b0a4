"""Plans against counts by hand, and what must hold of any two plans."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.planning import MadePlan, Request, make_plan
from clairkit.planning.devices import KNOWN, find_device
from clairkit.planning.work import pairs_of_lengths

V, D, F, LAYERS, HEADS, KEYS = 512, 32, 64, 2, 4, 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration without any weights."""
    from transformers import LlamaConfig

    folder = tmp_path_factory.mktemp("model")
    LlamaConfig(
        vocab_size=V,
        hidden_size=D,
        intermediate_size=F,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        max_position_embeddings=4096,
    ).save_pretrained(folder)
    return folder


@cache
def planned(model: Path, *settings: str, lengths: str = "64,32,48", **request: Any) -> MadePlan:
    flags = {"model": str(model), "use_peft": request.pop("use_peft", None)}
    asked = {"lengths": lengths, "rows": 64, **request}
    return make_plan(Request(flags, ("max_length=null", *settings), **asked))


def parameters() -> int:
    key_size = D // HEADS * KEYS
    layer = 2 * D * D + 2 * D * key_size + 3 * D * F + 2 * D
    return 2 * V * D + LAYERS * layer + D


def test_weights_and_optimizer_by_hand(model: Path) -> None:
    plan = planned(model, "optim=adamw_torch").plan
    assert plan.step.trainable == plan.step.parameters == parameters()
    buffers = 2 * D // HEADS // 2 * 4  # rotary frequencies, twice
    assert plan.memory.parts["weights"] == pytest.approx(4 * parameters() + buffers, abs=64)
    steps = 4 * (3 + 9 * LAYERS)  # a counter for each tensor
    assert plan.memory.parts["optimizer"] == 8 * parameters() + steps
    at_update = plan.step.phases["optimizer step"]
    assert at_update["gradients"] == 4 * parameters()


def test_an_adapter_by_hand(model: Path) -> None:
    plan = planned(model, "lora_r=4", use_peft=True).plan
    key_size = D // HEADS * KEYS
    layer = 2 * (D + D) + 2 * (D + key_size) + 3 * (D + F)
    assert plan.step.trainable == 4 * LAYERS * layer
    assert not plan.step.head_trained


def test_half_precision_weights_are_half(model: Path) -> None:
    full, half = planned(model).plan, planned(model, "dtype=bfloat16").plan
    weights = full.memory.parts["weights"], half.memory.parts["weights"]
    assert weights[1] == pytest.approx(weights[0] / 2, rel=0.01)


def test_operations_of_linear_layers_by_hand(model: Path) -> None:
    """Attention is small at a few tokens; backward is twice forward, less the embedding's."""
    plan = planned(model, "share_prompt=false", lengths="4,3,3").plan
    linear = parameters() - 2 * V * D - (2 * LAYERS + 1) * D
    assert plan.step.flops / plan.work.part_tokens == pytest.approx(6 * linear, rel=0.05)


@pytest.mark.parametrize("padding_free", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_more_tokens_take_more(model: Path, padding_free: str) -> None:
    setting = f"padding_free={padding_free}"
    peaks = [
        planned(model, setting, "tokens_per_step=8192", lengths=f"64,{n},{n}").plan.memory.total
        for n in (64, 256)
    ]
    assert peaks[0] < peaks[1]
    small, large = (planned(model, setting, f"tokens_per_step={n}").plan for n in (256, 1024))
    assert small.memory.total < large.memory.total
    assert small.work.part_tokens < large.work.part_tokens


@pytest.mark.slow
def test_activations_are_linear_in_tokens(model: Path) -> None:
    found = [
        planned(model, "tokens_per_step=null", lengths=f"64,{n},{n}").plan for n in (128, 256, 512)
    ]
    tokens = [plan.work.part_tokens for plan in found]
    bytes_ = [plan.step.phases["forward"]["activations"] for plan in found]
    first = (bytes_[1] - bytes_[0]) / (tokens[1] - tokens[0])
    assert (bytes_[2] - bytes_[1]) / (tokens[2] - tokens[1]) == pytest.approx(first, rel=0.02)


def test_checkpointing_takes_less_memory_and_more_work(model: Path) -> None:
    plain, again = planned(model).plan, planned(model, "gradient_checkpointing=true").plan
    assert again.memory.parts["activations"] < 0.7 * plain.memory.parts["activations"]
    assert 1.2 * plain.step.flops < again.step.flops < 1.4 * plain.step.flops


@pytest.mark.slow
def test_remedies_help_and_together_they_suffice(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # measured anew by each plan; in a process of many tests it goes up and down
    monkeypatch.setattr("clairkit.planning.estimate.ready_bytes", lambda: 500_000_000)
    large = "tokens_per_step=8192"
    memory = planned(model, large).plan.memory
    total, runtime = memory.total, memory.parts["runtime"]
    room = (total - runtime) // 4
    made = planned(model, large, memory=runtime + room)
    assert made.fits is False
    assert made.remedies
    for remedy in made.remedies:
        assert remedy.saved > 0
        settings = [f"{key}={json.dumps(value)}" for key, value in remedy.changes.items()]
        alone = planned(model, large, *settings).plan
        difference = alone.memory.total - alone.memory.parts["runtime"]
        assert difference == pytest.approx(
            remedy.total - made.plan.memory.parts["runtime"], rel=0.01
        )
    taken = made.plan.memory.parts["runtime"]
    assert any(remedy.total - taken <= room for remedy in made.remedies)


def test_time_and_cost_follow_the_rate(model: Path) -> None:
    plan = planned(model, flops=1e9).plan
    assert plan.seconds is not None
    assert plan.seconds.low < plan.flops / 1e9 < plan.seconds.high
    assert planned(model).plan.seconds is None
    sheet = planned(model, device="l4").plan
    assert sheet.rate is not None
    assert "not measured" in sheet.rate.source


def test_errors(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="config"):
        planned(tmp_path)
    with pytest.raises(UsageError, match="Did you mean h100"):
        planned(model, device="h10")
    with pytest.raises(UsageError, match="three numbers"):
        planned(model, lengths="3,x,1")
    with pytest.raises(UsageError, match="not here"):
        planned(model, device="a100-80", probe=True)


def test_devices() -> None:
    assert find_device("RTX 4090") == KNOWN["rtx-4090"]
    assert find_device("h100", 5).memory == 5


def test_pairs_of_lengths() -> None:
    (pair,) = pairs_of_lengths("3,2,1", 1)
    assert [len(ids) for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)] == [3, 2, 1]
