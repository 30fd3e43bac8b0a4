"""Every number that TRL's DPOTrainer logs, ours logs, and ends with the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
import transformers

# What a run logs of the clock, not of the model.
CLOCK = ("runtime", "samples_per_second", "steps_per_second")
Both = Callable[..., tuple[Any, Any]]

LOSSES = {
    "sigmoid": {"loss_type": "sigmoid"},
    "apo_zero": {"loss_type": "apo_zero"},
    "apo_down": {"loss_type": "apo_down"},
    "ipo": {"loss_type": "ipo"},
    "hinge": {"loss_type": "hinge"},
    "several, smoothed": {
        "loss_type": ["robust", "exo_pair", "bco_pair", "sft"],
        "loss_weights": [0.5, 1.0, 0.25, 0.1],
        "label_smoothing": 0.1,
    },
    "the others": {"loss_type": ["nca_pair", "sppo_hard", "aot", "sigmoid_norm"]},
    "aot, ld": {"loss_type": "aot_unpaired", "ld_alpha": 0.3},
    "f-divergence": {"loss_type": "sigmoid", "f_divergence_type": "js_divergence"},
    "discopop": {"loss_type": "discopop", "learning_rate": 3e-3},  # steep
}


def assert_same(theirs: Any, ours: Any, least_steps: int = 4, tolerance: float = 1e-5) -> None:
    """Compare all logged values and all weights that were trained."""
    expected, found = theirs.state.log_history, ours.state.log_history
    assert len(expected) == len(found)
    assert sum("grad_norm" in entry for entry in expected) >= least_steps
    for right, entry in zip(expected, found, strict=True):
        assert right.keys() == entry.keys()
        for name, value in right.items():
            # before the first update all rewards are 0, and rounding says which is larger
            chance = name == "rewards/accuracies" and right["step"] == 1
            if not name.endswith(CLOCK) and not chance:
                assert math.isfinite(value), name
                assert entry[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name
    for (name, right), weight in zip(
        theirs.model.named_parameters(), ours.model.parameters(), strict=True
    ):
        gap = torch.linalg.vector_norm(weight - right)
        assert gap <= tolerance * torch.linalg.vector_norm(right), name


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_logged_value_is_trls(both: Both, loss: str) -> None:
    theirs, ours = both(**LOSSES[loss])
    # discopop is so steep that rounding, another one on each processor, grows from step to step
    assert_same(theirs, ours, tolerance=1e-4 if loss == "discopop" else 1e-5)
    assert ours.logps_path.kernel == "native"
    logged = ours.state.log_history[-2]
    assert logged["rewards/margins"] != 0  # it learned: parity of zeros would prove nothing
    assert 1.0 < logged["entropy"] < 5.0  # nor would parity of a flat model


def test_every_token_metric_moves(both: Both) -> None:
    """Token accuracy is 0 in short runs of a preference loss; here it isn't."""
    theirs, ours = both(loss_type="sft", max_steps=7, optim="adamw_torch", learning_rate=6e-3)
    assert_same(theirs, ours)
    assert ours.state.log_history[-2]["mean_token_accuracy"] > 0.1


@pytest.mark.parametrize("architecture", ["Gemma2Config", "CohereConfig"])
def test_softcap_scale_and_tied_heads(both: Both, architecture: str) -> None:
    assert_same(*both(architecture, loss_type="apo_zero"))


def test_the_auxiliary_loss_of_a_mixture_of_experts(both: Both) -> None:
    theirs, ours = both("MixtralConfig")
    assert_same(theirs, ours)
    assert ours.state.log_history[0]["aux_loss"] > 0


@pytest.mark.parametrize(
    "adapter",
    [
        peft.LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
        peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"]),
        peft.PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
    ],
    ids=["lora", "a trained head", "prompt tuning"],
)
def test_adapters_with_the_base_model_as_reference(both: Both, adapter: Any) -> None:
    theirs, ours = both(named={"peft_config": adapter}, learning_rate=0.5)
    assert_same(theirs, ours)
    assert ours.ref_model is None


def test_an_adapter_to_go_on_from_is_its_own_reference(
    both: Both, saved: Callable[[str], str]
) -> None:
    def adapted() -> Any:
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_pretrained(saved("llama"))
        config = peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, config)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return model

    theirs, ours = both(adapted, learning_rate=0.5)
    assert_same(theirs, ours)
    assert "ref" in ours.model.peft_config


@pytest.mark.parametrize(
    "config",
    [
        {"precompute_ref_log_probs": True},
        {"gradient_accumulation_steps": 3, "per_device_train_batch_size": 1},
        {"eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 2},
        {"sync_ref_model": True, "ref_model_sync_steps": 2},
        {"max_length": 12},
        {"gradient_checkpointing": False, "disable_dropout": False},
    ],
    ids=lambda config: next(iter(config)),
)
def test_options_of_trls(both: Both, config: dict[str, Any]) -> None:
    assert_same(*both(loss_type="apo_down", **config))
