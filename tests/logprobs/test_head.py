"""Hidden states -> head -> log-probs equals the model's own logits, for every architecture."""

from __future__ import annotations

import copy
import math
from typing import Any

import peft
import pytest
import torch
import transformers
from architectures import ARCHITECTURES, SIZES, make
from tiny import make_llama, make_tokenizer
from torch import Tensor, nn

from clairkit.batching.collate import PairCollator
from clairkit.batching.encode import EncodedPair
from clairkit.errors import ResourceError, UsageError
from clairkit.kernels import Availability
from clairkit.logprobs.head import attach_logps, find_head
from clairkit.logprobs.packing_check import packing_of


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

    inner = model.lm_head.forward

    def refuse(hidden: Tensor, measure: Any = None) -> Any:
        assert measure is not None, "the head was called for logits"
        return inner(hidden, measure=measure)

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
    monkeypatch.setattr("clairkit.logprobs.head.available_backends", lambda: states)
    with pytest.raises(ResourceError, match="kernel native can't run here: not built"):
        attach_logps(make("LlamaConfig"), "native")


def test_prompt_tuning_is_refused() -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    model = peft.get_peft_model(make("LlamaConfig"), config)
    attach_logps(model, "torch")
    with pytest.raises(UsageError, match="Prompt tuning"):
        model(**batch())


@pytest.mark.parametrize(
    "target",
    [{"target_modules": ["lm_head"]}, {"trainable_token_indices": {"lm_head": [1, 2]}}],
    ids=str,
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


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kernel", ["native", "torch"])
@pytest.mark.filterwarnings("ignore:Model (with|has) `tie_word_embeddings=True`:UserWarning")
def test_a_trained_copy_of_the_head_is_the_one_that_is_read(kernel: str, tied: bool) -> None:
    """Of two adapters each has its own; without adapters it is the original."""
    config = peft.LoraConfig(
        target_modules=["q_proj"], modules_to_save=["lm_head"], task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(make("LlamaConfig", tie_word_embeddings=tied), config)
    assert attach_logps(model, kernel).kernel == kernel
    model.add_adapter("other", config)
    for name, parameter in model.named_parameters():
        if "modules_to_save" in name:
            nn.init.normal_(parameter, std=0.1)
    inputs, found = batch(), []
    for name in ("default", "other"):
        model.set_adapter(name)
        found.append(model(**inputs))
        truth = double_truth(model, inputs)
        torch.testing.assert_close(found[-1].double(), truth, rtol=1e-5, atol=2e-5)
        found[-1].sum().backward()
        trained = [n for n, p in model.named_parameters() if p.grad is not None and "lm_head" in n]
        assert trained == [f"base_model.model.lm_head.modules_to_save.{name}.weight"]
        model.zero_grad()
    with model.disable_adapter():
        found.append(model(**inputs))
        truth = double_truth(model, inputs)
    torch.testing.assert_close(found[-1].double(), truth, rtol=1e-5, atol=2e-5)
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


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


def packed(model: nn.Module) -> dict[str, Any]:
    """Return a packed part whose pairs share their prompts, for a model that can run it."""
    assert packing_of(model).form == "packed"
    pairs = [EncodedPair("a", [5, 6, 7], [8, 9, 10], [8, 11]), EncodedPair("b", [5], [9], [4, 3])]
    [part] = PairCollator(0, form="packed", share_prompt=True)(pairs)
    return part.model


def packed_truth(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """Log-probs [M] from the model's own logits of the packed sequence."""
    shape = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    plain = {key: inputs[key] for key in ("input_ids", "position_ids", "layout")}
    logits = model(**plain, attention_mask=shape, use_cache=False).logits[0].double()
    every = torch.log_softmax(logits, -1)
    return every[inputs["scored"], inputs["targets"]]


@pytest.mark.parametrize("kernel", ["torch", "native", "eager"])
@pytest.mark.parametrize("name", ["LlamaConfig", "CohereConfig", "GPT2Config"])
def test_scored_tokens_of_a_packed_sequence(name: str, kernel: str) -> None:
    model = make(name)
    inputs = packed(model)
    exact = packed_truth(model, inputs)
    weights = torch.linspace(-1, 1, len(exact), dtype=torch.float64)
    parameters = [p for p in model.parameters() if p.requires_grad]
    expected = torch.autograd.grad((exact * weights).sum(), parameters)
    attach_logps(model, kernel)
    logps = model(**inputs)
    assert logps.shape == inputs["targets"].shape
    torch.testing.assert_close(logps.double(), exact, rtol=1e-5, atol=2e-5)
    found = torch.autograd.grad((logps * weights).sum(), parameters)
    for ours, right in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, right.to(ours.dtype), rtol=1e-3, atol=1e-4)
    stats = model(**inputs, token_stats=True).stats
    torch.testing.assert_close(stats.logps.double(), exact, rtol=1e-5, atol=2e-5)
    assert all(part.shape == exact.shape for part in stats)


@pytest.mark.parametrize("kind", [OddHead, SquashedHead])
def test_scored_tokens_under_an_unknown_head(kind: type[Any]) -> None:
    gradients = []
    for kernel in ("auto", "eager"):
        torch.manual_seed(0)
        model = kind(transformers.LlamaConfig(**SIZES)).eval()
        inputs = packed(model)
        assert attach_logps(model, kernel).kernel == "eager"
        logps = model(**inputs)
        torch.testing.assert_close(
            logps.double(), packed_truth(model, inputs), rtol=1e-5, atol=2e-5
        )
        weights = torch.linspace(-1, 1, logps.numel())
        gradients.append(torch.autograd.grad((logps * weights).sum(), list(model.parameters())))
    for ours, right in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-6)


class OneLogitFewer(transformers.LlamaForCausalLM):  # type: ignore[misc]
    """Returns fewer positions than it was given, and knows no `logits_to_keep`."""

    def forward(self, input_ids: Tensor, **inputs: Any) -> Any:
        output = super().forward(input_ids, **inputs)
        output.logits = output.logits[:, :-1]
        return output


def test_positions_that_are_missing_are_refused() -> None:
    torch.manual_seed(0)
    inputs = packed(transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)))
    model = OneLogitFewer(transformers.LlamaConfig(**SIZES)).eval()
    assert packing_of(model).form == "padded"
    attach_logps(model, "eager")
    with pytest.raises(UsageError, match="the model's positions are not those of its input"):
        model(**inputs)
