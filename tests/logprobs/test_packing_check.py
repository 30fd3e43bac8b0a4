"""Which models are packed, and what those that are not hear."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
import transformers
from architectures import ARCHITECTURES, SIZES, make
from torch import Tensor, nn

from clairkit.errors import UsageError
from clairkit.logprobs.packing_check import packing_of

STATEFUL = {"Mamba2Config", "FalconH1Config"}


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_every_architecture_is_packed_or_says_why_not(name: str) -> None:
    model = make(name)
    former = model.config._attn_implementation
    packing = packing_of(model)
    now = model.config._attn_implementation
    if name in STATEFUL:
        assert packing.form == "padded"
        assert "needs it: it carries a state from token to token" in packing.reason
        assert now == former
        with pytest.raises(UsageError, match="can't run without padding: it carries a state"):
            packing_of(model, True)
    else:
        assert packing.form == "packed", packing.reason
        assert now == f"clairkit_packed_{former}"


def test_asking_again_changes_nothing() -> None:
    model = make("Gemma2Config")
    packings = [packing_of(model) for _ in range(2)]
    assert packings[0] == packings[1]
    assert model.config._attn_implementation == "clairkit_packed_eager"


def test_it_can_be_switched_off() -> None:
    model = make("LlamaConfig")
    assert packing_of(model, False).form == "padded"
    assert model.config._attn_implementation == "sdpa"


def test_attention_dropout_is_padded_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention, which packs there, does not know it; torch's attention on a CPU does."""
    model = make("LlamaConfig")
    assert packing_of(model).form == "packed"
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.1
    assert packing_of(model).form == "packed"
    monkeypatch.setattr("clairkit.logprobs.packing_check._on_gpu", lambda base: True)
    found = packing_of(model)
    assert (found.form, "attention dropout is on" in found.reason) == ("padded", True)


def test_a_model_under_an_adapter() -> None:
    config = peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(make("LlamaConfig"), config)
    assert packing_of(model).form == "packed"
    assert model.get_base_model().config._attn_implementation == "clairkit_packed_sdpa"


def test_the_trial_leaves_modes_and_gradients_alone() -> None:
    model = make("LlamaConfig").train()
    packing_of(model)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


class Neighbour(nn.Module):
    """Mixes each token with the one before it, whoever's that is."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, states: Tensor) -> Tensor:
        mixed: Tensor = self.mlp(states + 0.1 * nn.functional.pad(states, (0, 0, 1, 0))[:, :-1])
        return mixed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_that_mixes_neighbours_is_found_out(dtype: torch.dtype) -> None:
    model = make("LlamaConfig")
    for layer in model.model.layers:
        layer.mlp = Neighbour(layer.mlp)
    packing = packing_of(model.to(dtype))
    assert packing.form == "padded"
    assert "its packed logits are not its padded ones" in packing.reason
    assert model.config._attn_implementation == "sdpa"


def small(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, name)(**{**SIZES, **changes})
    return transformers.AutoModelForCausalLM.from_config(config)


def test_attention_sinks_are_refused() -> None:
    model = small("GptOssConfig", num_local_experts=2, num_experts_per_tok=1)
    with pytest.raises(UsageError, match="scores are changed by s_aux"):
        packing_of(model, True)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("BloomConfig", {"n_head": 4, "n_layer": 2}), ("Lfm2Config", {"layer_types": ["conv"] * 2})],
)
def test_models_with_another_mixing_fall_back(name: str, changes: dict[str, Any]) -> None:
    packing = packing_of(small(name, **changes))
    assert packing.form == "padded"
    assert "needs it" in packing.reason
