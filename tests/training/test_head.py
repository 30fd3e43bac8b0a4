"""Hidden states -> head -> log-probs equals the model's own logits, for every architecture."""

from __future__ import annotations

import copy
import math
from typing import Any

import peft
import pytest
import torch
import transformers
from tiny import make_llama, make_tokenizer
from torch import Tensor, nn

from clairkit.errors import ResourceError, UsageError
from clairkit.kernels import Availability
from clairkit.training.head import attach_logps, find_head

SIZES = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip

# Name of the configuration class -> what it needs beside or instead of SIZES.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "LlamaConfig": {},
    "Qwen2Config": {},
    "Qwen3Config": {},
    "Gemma2Config": {"final_logit_softcapping": 3.0, "sliding_window": 8},
    "Gemma3TextConfig": {"sliding_window": 8},
    "Phi3Config": {},
    "MistralConfig": {"sliding_window": None},
    "GPT2Config": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "CohereConfig": {"logit_scale": 0.25},
    "GraniteConfig": {"logits_scaling": 4.0},
    "Olmo2Config": {},
    "Mamba2Config": {
        "num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1, "chunk_size": 8,
        "tie_word_embeddings": False,
    },
    "FalconH1Config": {
        "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8,
        "mamba_chunk_size": 8, "lm_head_multiplier": 0.5,
    },
    "MixtralConfig": {"num_local_experts": 4, "num_experts_per_tok": 2},
}  # fmt: skip


def make(name: str) -> Any:
    """Return a tiny random model of the architecture, float32."""
    torch.manual_seed(0)
    config_class = getattr(transformers, name)
    if name == "GPT2Config":
        shared = {key: SIZES[key] for key in ("vocab_size", "bos_token_id", "eos_token_id")}
    elif name == "Mamba2Config":
        dropped = {"intermediate_size", "num_attention_heads", "num_key_value_heads"}
        shared = {key: value for key, value in SIZES.items() if key not in dropped}
    else:
        shared = SIZES
    model = transformers.AutoModelForCausalLM.from_config(
        config_class(**{**shared, **ARCHITECTURES[name]})
    )
    with torch.no_grad():  # at initialisation the logits hardly differ from each other
        for parameter in model.parameters():
            parameter.mul_(2.0)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.float()


def batch() -> dict[str, Tensor]:
    """Return two right-padded sequences; the response starts at position 5 and 3."""
    torch.manual_seed(1)
    input_ids = torch.randint(3, 97, (2, 14))
    mask = torch.ones_like(input_ids)
    mask[1, 10:] = 0
    targets = torch.full_like(input_ids, -100)
    targets[0, 4:13] = input_ids[0, 5:]
    targets[1, 2:9] = input_ids[1, 3:10]
    return {"input_ids": input_ids, "attention_mask": mask, "targets": targets}


def double_truth(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Log-probs from the model's own logits, its log-softmax in float64."""
    plain = {key: value for key, value in inputs.items() if key != "targets"}
    logits = model(**plain, use_cache=False).logits.double()
    chosen = torch.log_softmax(logits, -1).gather(2, inputs["targets"].clamp(min=0)[..., None])
    return torch.where(inputs["targets"] == -100, 0.0, chosen[..., 0])


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_tiled_equals_eager_equals_float64(name: str) -> None:
    inputs = batch()
    model = make(name)
    exact = double_truth(model, inputs)
    assert float(exact.detach().std()) > 0.3  # a flat model would prove nothing
    gradients, parameters = {}, [p for p in model.parameters() if p.requires_grad]
    coefficients = torch.tensor([[1.0], [-0.5]])
    expected = torch.autograd.grad((exact * coefficients).sum(), parameters, allow_unused=True)
    for kernel in ("torch", "native", "eager"):
        path = attach_logps(model, kernel)
        assert path.kernel == kernel, path.reason
        logps = model(**inputs)
        torch.testing.assert_close(logps.double(), exact, rtol=1e-5, atol=2e-5)
        gradients[kernel] = torch.autograd.grad(
            (logps * coefficients).sum(), parameters, allow_unused=True
        )
        for ours, right in zip(gradients[kernel], expected, strict=True):
            if right is not None and ours is not None:
                torch.testing.assert_close(ours, right.to(ours.dtype), rtol=1e-3, atol=1e-4)
            assert (ours is None) == (right is None)


@pytest.mark.parametrize("name", ["LlamaConfig", "Gemma2Config", "CohereConfig"])
def test_a_frozen_head_gives_the_same_gradients_to_the_rest(name: str) -> None:
    inputs, results = batch(), []
    for kernel in ("torch", "native", "eager"):
        model = make(name)
        for parameter in model.get_output_embeddings().parameters():
            parameter.requires_grad_(False)
        attach_logps(model, kernel)
        rest = [p for p in model.parameters() if p.requires_grad]
        results.append(torch.autograd.grad(model(**inputs).sum(), rest))
    for tiled in results[:2]:
        for ours, right in zip(tiled, results[2], strict=True):
            torch.testing.assert_close(ours, right, rtol=1e-3, atol=1e-4)


def test_the_tiled_path_never_makes_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("LlamaConfig")
    attach_logps(model, "torch")

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("the head was called")

    monkeypatch.setattr(model.lm_head, "forward", refuse)
    model(**batch()).sum().backward()


class OddHead(transformers.LlamaForCausalLM):  # type: ignore[misc]
    """Adds something to its logits that no configuration key tells of."""

    def forward(self, *args: Any, **inputs: Any) -> Any:
        output = super().forward(*args, **inputs)
        output.logits = output.logits + torch.arange(output.logits.shape[-1]) * 0.01
        return output


def test_an_unknown_head_falls_back_to_eager_and_says_so() -> None:
    torch.manual_seed(0)
    model = OddHead(transformers.LlamaConfig(**SIZES)).eval()
    path = attach_logps(model, "auto")
    assert path.kernel == "eager"
    assert "OddHead needs it: its logits are not those of its hidden states" in path.reason
    inputs = batch()
    torch.testing.assert_close(
        model(**inputs).double(), double_truth(model, inputs), rtol=1e-5, atol=2e-5
    )


class SquashedHead(transformers.LlamaForCausalLM):  # type: ignore[misc]
    """Its last operation reads its own result in backward."""

    def forward(self, *args: Any, **inputs: Any) -> Any:
        output = super().forward(*args, **inputs)
        output.logits = torch.tanh(3 * output.logits)
        return output


@pytest.mark.parametrize("kind", [OddHead, SquashedHead])
def test_an_unknown_heads_gradient_is_that_of_its_own_logits(kind: type[Any]) -> None:
    gradients = []
    for kernel in ("auto", "eager"):
        torch.manual_seed(0)
        model = kind(transformers.LlamaConfig(**SIZES)).eval()
        attach_logps(model, kernel)
        logps = model(**batch())
        weights = torch.linspace(-1, 1, logps.numel()).view_as(logps)
        gradients.append(torch.autograd.grad((logps * weights).sum(), list(model.parameters())))
    for ours, right in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-6)


def test_a_head_that_is_no_linear_layer_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("LlamaConfig")
    model.set_output_embeddings(nn.Sequential(nn.Linear(32, 97)))
    reason = find_head(model)
    assert isinstance(reason, str)
    assert "Sequential" in reason


def test_without_targets_the_model_is_what_it_was() -> None:
    model, tokenizer = make_llama(), make_tokenizer()
    ids = torch.tensor([tokenizer.encode("the quick")])
    before = model(input_ids=ids).logits, model.generate(ids, max_new_tokens=4, do_sample=False)
    attach_logps(model, "torch")
    after = model(input_ids=ids).logits, model.generate(ids, max_new_tokens=4, do_sample=False)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("kernel", ["torch", "eager"])
def test_a_deep_copy_runs_its_own_weights(kernel: str) -> None:
    model = make("LlamaConfig")
    attach_logps(model, kernel)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.lm_head.weight.zero_()
    logps = copied(**batch())
    uniform = torch.where(batch()["targets"] == -100, 0.0, -math.log(97))
    torch.testing.assert_close(logps, uniform)


def test_auto_is_chosen_for_where_the_model_will_run() -> None:
    """A trainer moves the model to a GPU after its forward was extended."""
    gpu = torch.device("cuda", 0)
    assert attach_logps(make("LlamaConfig"), "auto").kernel == "native"
    assert attach_logps(make("LlamaConfig"), "auto", device=gpu).kernel != "native"
    with pytest.raises(ResourceError, match="native runs on a CPU, and the model on cuda:0"):
        attach_logps(make("LlamaConfig"), "native", device=gpu)


def test_a_kernel_that_was_not_built_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"native": Availability(False, "not built"), "torch": Availability(True, "")}
    monkeypatch.setattr("clairkit.training.head.available_backends", lambda: states)
    with pytest.raises(ResourceError, match="kernel native can't run here: not built"):
        attach_logps(make("LlamaConfig"), "native")


def test_prompt_tuning_is_refused() -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    model = peft.get_peft_model(make("LlamaConfig"), config)
    attach_logps(model, "torch")
    with pytest.raises(UsageError, match="Prompt tuning"):
        model(**batch())


@pytest.mark.parametrize(
    "target", [{"target_modules": ["lm_head"]}, {"modules_to_save": ["lm_head"]}], ids=str
)
def test_an_adapter_on_the_head_is_honoured_through_the_models_logits(
    target: dict[str, Any],
) -> None:
    config = peft.LoraConfig(**{"target_modules": ["q_proj"], **target}, task_type="CAUSAL_LM")
    model = peft.get_peft_model(make("LlamaConfig"), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    assert attach_logps(model, "auto").kernel == "eager"
    torch.testing.assert_close(
        model(**batch()).double(), double_truth(model, batch()), rtol=1e-5, atol=2e-5
    )


def test_lora_trains_through_the_extended_forward() -> None:
    config = peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    inputs, results = batch(), []
    for kernel in ("torch", "eager"):
        torch.manual_seed(3)
        model = peft.get_peft_model(make("LlamaConfig"), config)
        torch.manual_seed(4)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
        attach_logps(model, kernel)
        adapters = [p for p in model.parameters() if p.requires_grad]
        results.append(torch.autograd.grad(model(**inputs).sum(), adapters))
    for ours, right in zip(*results, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-3, atol=1e-4)
