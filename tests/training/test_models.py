"""Loading: dtypes, adapters given as models, and 4-bit weights where bitsandbytes is at hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from some_pairs import some_pairs
from tiny import make_llama, make_tokenizer
from torch import nn

from clairkit.errors import UsageError
from clairkit.training import PreferenceTrainer, TrainConfig
from clairkit.training.adapters import add_adapter
from clairkit.training.merge_adapter import merged_model
from clairkit.training.models import (
    is_4bit,
    is_quantised,
    load_model,
    load_tokenizer,
)

with_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


def config(model: Path | str, **changes: Any) -> TrainConfig:
    return TrainConfig(model=str(model), pairs="p", output="run", **changes)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_is_loaded_in_the_configured_dtype(model_folder: Path, dtype: Any) -> None:
    model = load_model(config(model_folder, dtype=dtype))
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    assert not is_quantised(model)


def test_the_chat_template_of_the_configuration_replaces_the_tokenizers(
    model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "template.jinja").write_text("{{ messages[0].content }}")
    with_template = config(model_folder, chat_template_path=str(tmp_path / "template.jinja"))
    assert load_tokenizer(with_template).chat_template == "{{ messages[0].content }}"
    with pytest.raises(UsageError, match="can't read chat_template_path"):
        load_tokenizer(config(model_folder, chat_template_path=str(tmp_path / "none.jinja")))
    (tmp_path / "rows.jinja").write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(UsageError, match="the chat template is larger than 1 MiB"):
        load_tokenizer(config(model_folder, chat_template_path=str(tmp_path / "rows.jinja")))


@pytest.mark.parametrize("load", [load_tokenizer, load_model])
def test_an_adapter_as_the_model_says_how_to_go_on_with_it(load: Any, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(target_modules=["q_proj"])
    adapted = get_peft_model(make_llama(), settings)
    settings.base_model_name_or_path = "org/base"
    adapted.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"set model: org/base and adapter: /"):
        load(config(tmp_path))


@pytest.mark.parametrize("load", [load_tokenizer, load_model])
def test_a_model_that_is_not_there_is_a_usage_error(load: Any) -> None:
    with pytest.raises(UsageError, match="there is no such folder: received '/nowhere/model'"):
        load(config("/nowhere/model"))


def test_4_bits_without_an_adapter_or_bitsandbytes_are_refused(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="load_in_4bit can't be set without an adapter"):
        config(model_folder, load_in_4bit=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs bitsandbytes.*'bitsandbytes>=0.50' 'peft>=0.17'"):
        load_model(config(model_folder, load_in_4bit=True, use_peft=True))


def wide_folder(tmp_path: Path) -> Path:
    """A Llama whose rows are of whole blocks of 64 weights, as real ones are."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.05,
    )
    LlamaForCausalLM(settings).save_pretrained(tmp_path / "wide")
    make_tokenizer().save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


def dequantised(folder: Path, quantised: Any) -> Any:
    """The model of `folder` with the values that its 4-bit weights stand for."""
    from bitsandbytes.functional import dequantize_4bit

    plain = load_model(config(folder))
    values = {name: module.weight for name, module in quantised.named_modules() if is_4bit(module)}
    with torch.no_grad():
        for name, weight in values.items():
            target = plain.get_submodule(
                name.removeprefix("base_model.model.").removesuffix(".base_layer")
            )
            target.weight.copy_(dequantize_4bit(weight.data, weight.quant_state))
    return plain


@with_bitsandbytes
def test_4_bit_weights_mean_what_they_dequantise_to_and_gradients_pass_them(
    tmp_path: Path,
) -> None:
    folder = wide_folder(tmp_path)
    model = load_model(config(folder, load_in_4bit=True, use_peft=True))
    assert isinstance(model.lm_head, nn.Linear)
    assert not is_4bit(model.lm_head)
    assert sum(map(is_4bit, model.modules())) == 14
    plain = dequantised(folder, model)
    ids = torch.arange(24).view(2, 12) * 17 % 512
    adapted = add_adapter(model, config(folder, load_in_4bit=True, use_peft=True))
    twin = add_adapter(plain, config(folder, use_peft=True))
    gradients = []
    for each in (adapted, twin):
        each.eval()
        with torch.no_grad():  # bitsandbytes on a CPU repacks weights here
            logps = each(input_ids=ids).logits.log_softmax(-1)
        each.train()
        each(input_ids=ids, labels=ids).loss.backward()
        grads = [p.grad.flatten() for p in each.parameters() if p.grad is not None]
        gradients.append((logps, torch.cat(grads)))
    (ours, ours_gradient), (right, right_gradient) = gradients
    torch.testing.assert_close(ours, right, rtol=0, atol=2e-2)  # products in bfloat16
    gap = (ours_gradient - right_gradient).norm() / right_gradient.norm()
    assert float(right_gradient.norm()) > 0
    assert float(gap) < 2e-2


@with_bitsandbytes
def test_qlora_trains_and_merges_into_dequantised_weights(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = wide_folder(tmp_path)
    arguments = {
        "max_steps": 2,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    settings = TrainConfig(
        model=str(folder),
        pairs="p",
        output=str(tmp_path / "run"),
        load_in_4bit=True,
        use_peft=True,
        merge_adapter=True,
        arguments=arguments,
    )
    tokenizer = load_tokenizer(settings)
    model = add_adapter(load_model(settings), settings)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    trainer = PreferenceTrainer(model, tokenizer, settings, some_pairs(4))
    trainer.train()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n in before if ".lora_A." in n or ".lora_B." in n}
    merged_model(model).save_pretrained(tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not hasattr(merged.config, "quantization_config")
    ids = torch.arange(24).view(2, 12) * 17 % 512
    with torch.no_grad():
        ours = merged(input_ids=ids).logits.log_softmax(-1)
        expected = model.eval()(input_ids=ids).logits.log_softmax(-1)
        base = load_model(config(folder))(input_ids=ids).logits.log_softmax(-1)
    torch.testing.assert_close(ours, expected, rtol=0, atol=2e-2)
    assert float((base - expected).abs().max()) > 0.1
