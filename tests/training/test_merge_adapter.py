"""What is saved: an adapter, or a merged model that says what base and adapter said together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from tiny import make_llama
from torch import Tensor, nn

from clairkit.errors import UsageError
from clairkit.training import TrainConfig
from clairkit.training.adapters import add_adapter
from clairkit.training.merge_adapter import check_mergeable, merged_model, merged_state

SIZES = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 512, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}


def llama(**settings: Any) -> Any:
    model = make_llama(**settings)
    with torch.no_grad():  # at initialisation the logits hardly differ from each other
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def adapted(model: Any, folder: Path, **settings: Any) -> Any:
    """The model, saved as a base, under an adapter that was trained (all of it is random)."""
    model.save_pretrained(folder / "base")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder / "base", dtype=model.dtype)
    settings = {"target_modules": "all-linear", "r": 4, **settings}
    return randomised(peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **settings)))


def randomised(wrapped: Any) -> Any:
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return wrapped.eval()


@torch.no_grad()
def logps(model: Any) -> Tensor:
    ids = torch.arange(24).view(2, 12) * 17 % 512
    result: Tensor = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
    return result


def loaded(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


HEADS: list[dict[str, Any]] = [
    {},
    {"use_dora": True},
    {"use_rslora": True},
    {"target_modules": ["lm_head", "q_proj"]},
    {"modules_to_save": ["lm_head"]},
    {"modules_to_save": ["embed_tokens"]},
    {"target_modules": ["embed_tokens", "v_proj"]},
]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("settings", HEADS, ids=str)
@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings")
def test_the_merged_model_says_what_base_and_adapter_said(
    settings: dict[str, Any], tied: bool, tmp_path: Path
) -> None:
    model = adapted(llama(tie_word_embeddings=tied), tmp_path, **settings)
    expected = logps(model)
    merged_model(model).save_pretrained(tmp_path / "run")
    run = loaded(tmp_path / "run")
    torch.testing.assert_close(logps(run), expected, rtol=1e-5, atol=2e-5)
    assert type(run.lm_head) is nn.Linear
    assert float((logps(loaded(tmp_path / "base")) - expected).abs().max()) > 0.1
    assert run.config.tie_word_embeddings == (tied and not _apart(settings))


def _apart(settings: dict[str, Any]) -> bool:
    names = {*settings.get("modules_to_save", ()), *settings.get("target_modules", ())}
    return bool(names & {"lm_head", "embed_tokens"})


@pytest.mark.parametrize("settings", [HEADS[0], HEADS[1], HEADS[4]], ids=str)
def test_in_bfloat16_merging_costs_one_rounding(settings: dict[str, Any], tmp_path: Path) -> None:
    model = adapted(llama().bfloat16(), tmp_path, **settings)
    merged_model(model).save_pretrained(tmp_path / "run")
    run = loaded(tmp_path / "run", torch.bfloat16)
    assert {p.dtype for p in run.parameters()} == {torch.bfloat16}
    # The yardstick: rounding the base's own weights costs as much.
    exact = logps(model.float())
    rounded = logps(run.float())
    base = logps(loaded(tmp_path / "base"))
    assert float((rounded - exact).abs().mean()) < 0.03 * float((base - exact).abs().mean())
    weights = dict(run.named_parameters())
    for name, value in merged_state(model).items():
        assert torch.equal(weights[name], value.bfloat16().float()), name


ARCHITECTURES = [
    transformers.GPT2Config(**GPT2),
    transformers.Gemma2Config(**SIZES, head_dim=8),
    transformers.MixtralConfig(**SIZES, num_local_experts=2),
    transformers.FalconH1Config(
        **SIZES,
        mamba_d_ssm=32,
        mamba_n_heads=4,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_chunk_size=8,
    ),
]


@pytest.mark.parametrize("settings", ARCHITECTURES, ids=lambda settings: settings.model_type)
def test_other_architectures_merge_too(settings: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    model.save_pretrained(tmp_path / "base")
    base = loaded(tmp_path / "base")  # with what transformers knows of its files
    config = TrainConfig(model=str(tmp_path / "base"), pairs="p", output="run", use_peft=True)
    wrapped = randomised(add_adapter(base, config))
    expected = logps(wrapped)
    merged_model(wrapped).save_pretrained(tmp_path / "run")
    torch.testing.assert_close(logps(loaded(tmp_path / "run")), expected, rtol=1e-5, atol=2e-5)
    assert float((logps(loaded(tmp_path / "base")) - expected).abs().max()) > 0.1


@pytest.mark.parametrize("settings", HEADS, ids=str)
def test_the_trained_object_is_left_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    model = adapted(llama(), tmp_path, **settings)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids, said = {name: id(p) for name, p in model.named_parameters()}, logps(model)
    merged_model(model).save_pretrained(tmp_path / "run")
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert ids == {name: id(p) for name, p in model.named_parameters()}
    assert torch.equal(logps(model), said)
    assert model.get_base_model().config.tie_word_embeddings is False
    with model.disable_adapter():
        assert torch.equal(logps(model), logps(loaded(tmp_path / "base")))


def test_what_is_ambiguous_is_refused(tmp_path: Path) -> None:
    tokens = adapted(llama(), tmp_path / "tokens", trainable_token_indices={"embed_tokens": [3]})
    with pytest.raises(UsageError, match=r"can't be merged: it trains single tokens"):
        check_mergeable(tokens)
