"""Adapters from the configuration: what is trained, on which path, how it is saved and resumed."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from some_pairs import some_pairs
from tiny import make_llama, make_tokenizer
from torch import Tensor, nn

from clairkit.errors import UsageError
from clairkit.logprobs.head import attach_logps, find_head
from clairkit.training import PreferenceTrainer, TrainConfig
from clairkit.training.adapters import add_adapter

LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def config(model: Path | str = "m", **changes: Any) -> TrainConfig:
    if "adapter" not in changes:
        changes["use_peft"] = True
    return TrainConfig(**{"model": str(model), "pairs": "p", "output": "run", **changes})


def lively(model: Any, seed: int = 5) -> Any:
    """Give every trainable weight a value, so that the adapter is not nothing."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def batch() -> dict[str, Tensor]:
    """Two right-padded sequences with a few targets."""
    torch.manual_seed(1)
    ids = torch.randint(3, 512, (2, 14))
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    targets = torch.full_like(ids, -100)
    targets[0, 4:13], targets[1, 2:9] = ids[0, 5:], ids[1, 3:10]
    return {"input_ids": ids, "attention_mask": mask, "targets": targets}


def trainable(model: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def test_a_new_adapter_is_on_all_linear_layers_but_the_head_and_starts_as_nothing() -> None:
    model = make_llama()
    plain = model(input_ids=batch()["input_ids"]).logits
    adapted = add_adapter(model, config(lora_r=4, lora_alpha=12))
    modules = {name.split(".")[-4] for name in trainable(adapted)}
    assert modules == LINEAR
    assert len(trainable(adapted)) == 2 * 2 * len(LINEAR)
    layer = adapted.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling == {"default": 3.0}
    assert torch.equal(adapted(input_ids=batch()["input_ids"]).logits, plain)


def test_the_keys_reach_peft() -> None:
    settings = {
        "lora_r": 4,
        "use_rslora": True,
        "use_dora": True,
        "lora_dropout": 0.25,
        "disable_dropout": False,
        "lora_target_modules": ("q_proj",),
    }
    made = add_adapter(make_llama(), config(**settings)).peft_config["default"]
    assert (made.r, made.use_rslora, made.use_dora, made.lora_dropout) == (4, True, True, 0.25)
    assert made.target_modules == {"q_proj"}
    pattern = add_adapter(make_llama(), config(lora_target_modules=r".*\.0\..*(q|v)_proj"))
    assert len(trainable(pattern)) == 4


def test_the_seed_alone_decides_how_an_adapter_starts() -> None:
    def start(seed: int, before: int) -> Tensor:
        model = make_llama()
        torch.manual_seed(before)
        adapted = add_adapter(model, config(arguments={"seed": seed}))
        drawn = torch.rand(1)
        torch.manual_seed(before)
        assert torch.equal(drawn, torch.rand(1))  # the caller's stream is as it was
        return next(p for name, p in trainable(adapted).items() if "lora_A" in name)

    assert torch.equal(start(1, 7), start(1, 8))
    assert not torch.equal(start(1, 7), start(2, 7))


def test_adapters_are_float32_on_bfloat16_weights() -> None:
    adapted = add_adapter(make_llama().bfloat16(), config())
    assert {p.dtype for p in trainable(adapted).values()} == {torch.float32}
    assert adapted.get_base_model().lm_head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora_target_modules": ("q_proj", "qq_proj")}, "'qq_proj'.*linear layers are q_proj, k_"),
        ({"lora_modules_to_save": ("head",)}, "lora_modules_to_save names a module"),
        ({"lora_target_modules": "nothing_.*"}, "PEFT can't make this adapter: .*not found"),
        ({"lora_target_modules": ("norm",)}, "PEFT can't make this adapter: .*not supported"),
        ({"adapter": "/nowhere/adapter"}, "no such folder: received '/nowhere/adapter'"),
    ],
)
def test_what_can_not_be_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        add_adapter(make_llama(), config(**changes))


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'peft>=0\.17'"):
        add_adapter(make_llama(), config())


def saved_adapter(folder: Path, settings: Any = None) -> Any:
    model = make_llama()
    model.save_pretrained(folder / "base")
    made = settings or peft.LoraConfig(task_type="CAUSAL_LM", r=3, target_modules=["q_proj"])
    adapted = lively(peft.get_peft_model(model, made))
    made.base_model_name_or_path = str(folder / "base")
    adapted.save_pretrained(folder / "adapter")
    return adapted


def test_an_adapter_goes_on_with_its_own_settings_and_values(tmp_path: Path) -> None:
    before, said = saved_adapter(tmp_path), list[str]()
    again = add_adapter(
        make_llama(), config(tmp_path / "base", adapter=str(tmp_path / "adapter")), said.append
    )
    assert not said
    ours, right = trainable(again), trainable(before)
    assert ours.keys() == right.keys()
    assert all(torch.equal(ours[name], right[name]) for name in right)
    add_adapter(make_llama(), config("other", adapter=str(tmp_path / "adapter")), said.append)
    assert len(said) == 1
    assert said[0].endswith("base, and goes on with other.")


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    saved_adapter(tmp_path)
    go_on = config(tmp_path / "base", adapter=str(tmp_path / "adapter"))
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {
        "vocab_size": 512,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    for changes in (
        {"hidden_size": 64, "num_hidden_layers": 2},
        {"hidden_size": 32, "num_hidden_layers": 3},
    ):
        other = LlamaForCausalLM(LlamaConfig(**sizes, **changes))
        with pytest.raises(UsageError, match=r"doesn't fit the model.*was trained on .*base"):
            add_adapter(other, go_on)


def test_adapters_that_change_the_tokens_are_refused(tmp_path: Path) -> None:
    for number, settings in enumerate(
        (
            peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
            peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
            peft.LoraConfig(
                task_type="CAUSAL_LM", target_modules=["q_proj"], alora_invocation_tokens=[5]
            ),
        )
    ):
        saved_adapter(tmp_path / str(number), settings)
        with pytest.raises(UsageError, match=r"can't be trained here.*Use LoRA"):
            add_adapter(
                make_llama(),
                config(tmp_path / "base", adapter=str(tmp_path / str(number) / "adapter")),
            )


def test_a_merge_that_will_fail_is_refused_before_training(tmp_path: Path) -> None:
    tokens = peft.LoraConfig(
        task_type="CAUSAL_LM",
        target_modules=["q_proj"],
        trainable_token_indices={"embed_tokens": [3, 4]},
    )
    saved_adapter(tmp_path, tokens)
    go_on = {"adapter": str(tmp_path / "adapter"), "model": tmp_path / "base"}
    add_adapter(make_llama(), config(**go_on))
    with pytest.raises(UsageError, match="can't be merged: it trains single tokens"):
        add_adapter(make_llama(), config(**go_on, merge_adapter=True))


def test_the_frozen_head_is_scored_in_one_pass() -> None:
    adapted = add_adapter(make_llama(), config())
    assert not adapted.get_base_model().lm_head.weight.requires_grad
    path = attach_logps(adapted, "torch")
    assert path.kernel == "torch"
    assert path.reason.endswith("the head is frozen: one pass")


HEADS: list[dict[str, Any]] = [
    {},
    {"use_dora": True},
    {"lora_target_modules": ("lm_head",)},
    {"lora_modules_to_save": ("lm_head",)},
    {"lora_modules_to_save": ("embed_tokens",)},
    {"lora_target_modules": ("embed_tokens", "q_proj")},
]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("changes", HEADS, ids=str)
def test_log_probs_and_gradients_are_those_of_plain_peft(
    changes: dict[str, Any], tied: bool
) -> None:
    adapted = lively(add_adapter(make_llama(tie_word_embeddings=tied), config(**changes)))
    on_head = "lm_head" in changes.get("lora_target_modules", ())  # a trained copy is one layer
    assert isinstance(find_head(adapted.get_base_model()), str) == on_head
    inputs, weights = batch(), torch.linspace(-1, 1, 28).view(2, 14)
    targets = inputs["targets"]
    logits = adapted(**{k: v for k, v in inputs.items() if k != "targets"}).logits.double()
    picked = logits.log_softmax(-1).gather(2, targets.clamp(min=0)[..., None])[..., 0]
    exact = torch.where(targets == -100, 0.0, picked)
    (exact * weights).sum().backward()
    expected = {name: p.grad.clone() for name, p in trainable(adapted).items()}
    path = attach_logps(adapted, "auto")
    assert (path.kernel == "eager") == on_head, path.reason
    adapted.zero_grad()
    logps = adapted(**inputs)
    torch.testing.assert_close(logps.double(), exact, rtol=1e-5, atol=2e-5)
    (logps * weights).sum().backward()
    for name, p in trainable(adapted).items():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-4, atol=1e-5, msg=name)
    with adapted.disable_adapter():
        base = adapted(**inputs)
    plain = make_llama(tie_word_embeddings=tied)
    attach_logps(plain, "eager")
    torch.testing.assert_close(base, plain(**inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("changes", [HEADS[0], HEADS[2]], ids=str)
def test_gradient_checkpointing_leaves_the_gradients_as_they_are(changes: dict[str, Any]) -> None:
    found = []
    for checkpointing in (False, True):
        adapted = lively(add_adapter(make_llama(), config(**changes))).train()
        attach_logps(adapted, "torch" if not changes else "auto")
        if checkpointing:
            adapted.gradient_checkpointing_enable({"use_reentrant": False})
            assert adapted.get_base_model().model.layers[0].gradient_checkpointing
        adapted(**batch()).sum().backward()
        found.append({name: p.grad for name, p in trainable(adapted).items()})
    assert all(float(gradient.norm()) > 0 for gradient in found[0].values())
    for name, gradient in found[0].items():
        assert torch.equal(found[1][name], gradient), name


def trainer(folder: Path, base: Path, **arguments: Any) -> PreferenceTrainer:
    settings = config(
        base,
        output=str(folder),
        lora_r=4,
        arguments={
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "max_steps": 4,
            "save_steps": 2,
            "logging_steps": 1,
            "use_cpu": True,
            "disable_tqdm": True,
            **arguments,
        },
    )
    model = add_adapter(make_llama(), settings)
    return PreferenceTrainer(model, make_tokenizer(), settings, some_pairs(12))


def weights(run: PreferenceTrainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


def test_a_resumed_adapter_has_the_same_bits_as_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = trainer(tmp_path / "a", tmp_path / "base")
    start = weights(undisturbed)
    undisturbed.train()
    checkpoint = tmp_path / "a" / "checkpoint-2"
    names = {path.name for path in checkpoint.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "optimizer.pt"} <= names
    assert "model.safetensors" not in names
    resumed = trainer(tmp_path / "b", tmp_path / "base")
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert resumed.state.global_step == 4
    ours, right = weights(resumed), weights(undisturbed)
    assert ours.keys() == right.keys()
    for name, value in right.items():
        assert torch.equal(ours[name], value), name
        moved = not torch.equal(value, start[name])
        assert moved == (".lora_A." in name or ".lora_B." in name), name


@pytest.mark.parametrize("way", ["the key adapter", "a model from Python"])
def test_an_adapter_that_goes_on_is_its_own_reference_unless_the_base_is_asked_for(
    tmp_path: Path, way: str
) -> None:
    """As in TRL, whose reference is the adapter as it was; DPO's first loss is then ln 2."""
    every = peft.LoraConfig(task_type="CAUSAL_LM", r=3, target_modules="all-linear")
    made = saved_adapter(tmp_path, every)
    first = {}
    for ref in ("start", f"adapter:{tmp_path / 'adapter'}", "base"):
        keys = {"adapter": str(tmp_path / "adapter"), "loss": "sigmoid", "ref": ref}
        settings = config(
            tmp_path / "base",
            output=str(tmp_path / "run"),
            **keys,
            arguments={
                "max_steps": 1,
                "logging_steps": 1,
                "use_cpu": True,
                "disable_tqdm": True,
                "save_strategy": "no",
            },
        )
        model = add_adapter(make_llama(), settings) if way == "the key adapter" else made
        run = PreferenceTrainer(model, make_tokenizer(), settings, some_pairs(12))
        run.train()
        assert run.references is not None
        assert run.references.is_policy == (ref != "base")
        first[ref] = run.state.log_history[0]
        made = PeftModel.from_pretrained(make_llama(), tmp_path / "adapter", is_trainable=True)
    assert first["start"]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert abs(first["start"]["rewards/chosen"]) < 1e-5
    assert first[f"adapter:{tmp_path / 'adapter'}"]["loss"] == pytest.approx(
        first["start"]["loss"], abs=1e-5
    )
    assert abs(first["base"]["rewards/chosen"]) > 1e-3


def test_gradient_checkpointing_trains_to_the_same_weights(tmp_path: Path) -> None:
    runs = [
        trainer(tmp_path / str(on), tmp_path / "base", gradient_checkpointing=on, max_steps=2)
        for on in (False, True)
    ]
    for run in runs:
        run.train()
    ours, right = map(weights, runs)
    for name, value in right.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_a_saved_run_names_its_base_in_full_and_generates(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clairkit.batching.chat_settings import ChatSettings
    from clairkit.models.hf import HfModel, _load

    monkeypatch.chdir(model_folder.parent)  # the base is given relative to it
    settings = config(model_folder.name, lora_r=4)
    adapted = lively(add_adapter(make_llama(), settings)).eval()
    for part in (adapted, make_tokenizer()):
        part.save_pretrained(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    made = peft.PeftConfig.from_pretrained(tmp_path / "run")
    assert made.base_model_name_or_path == str(model_folder.resolve())
    assert load_file(tmp_path / "run" / "adapter_model.safetensors").keys()
    local = _load(str(tmp_path / "run"), 4, (), ChatSettings())
    ids = batch()["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(
            local.model(input_ids=ids).logits, adapted(input_ids=ids).logits, rtol=1e-5, atol=1e-5
        )
    assert HfModel(str(tmp_path / "run")).identity["files"]
