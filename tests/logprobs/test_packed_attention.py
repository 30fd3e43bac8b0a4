"""Packed log-probs and gradients equal those of each sequence by itself, for every architecture."""

from __future__ import annotations

import random
from typing import Any

import peft
import pytest
import torch
from architectures import make
from layouts import seen, some_layout
from torch import Tensor, nn

from clairkit.batching.collate import PairCollator
from clairkit.batching.encode import EncodedPair
from clairkit.batching.pack import PackedLayout, Tree
from clairkit.errors import UsageError
from clairkit.logprobs.head import attach_logps
from clairkit.logprobs.packed_attention import packed_attention, packed_implementation
from clairkit.logprobs.packing_check import packing_of
from clairkit.logprobs.scores import Scores

# Architecture, changes to its configuration, dtype. Gemma2's own attention gives NaN in float64,
# Mixtral's grouped products refuse it.
CASES: list[tuple[str, dict[str, Any], torch.dtype]] = [
    ("LlamaConfig", {}, torch.float64),
    ("Qwen2Config", {}, torch.float64),
    (
        "Qwen2Config",
        {
            "use_sliding_window": True,
            "sliding_window": 6,
            "layer_types": ["full_attention", "sliding_attention"],
        },
        torch.float64,
    ),
    ("Qwen3Config", {}, torch.float64),
    ("Gemma2Config", {}, torch.float32),
    ("Gemma2Config", {"attn_logit_softcapping": 0.5}, torch.float32),
    ("Gemma3TextConfig", {}, torch.float64),
    ("Phi3Config", {}, torch.float64),
    ("MistralConfig", {"sliding_window": 6}, torch.float64),
    ("GPT2Config", {}, torch.float64),
    ("CohereConfig", {}, torch.float64),
    ("GraniteConfig", {}, torch.float64),
    ("Olmo2Config", {}, torch.float64),
    ("MixtralConfig", {}, torch.float32),
]
FORMS: list[dict[str, Any]] = [
    {"share_prompt": True},
    {"share_prompt": False},
    {"share_prompt": "auto", "tokens": 60},
    {"share_prompt": True, "parts": 3},
]
# Largest difference, relative to the largest number of the same tensor: (log-probs, gradients).
# In float64 models normalise in float32.
TOLERANCE = {torch.float64: (1e-6, 2e-6), torch.float32: (2e-5, 2e-4)}

Sequences = dict[tuple[int, int], Tensor]  # (side, pair) -> log-probs of its response


def some_pairs() -> list[EncodedPair]:
    """Pairs of unequal sides: responses that begin alike, one within the other, one side alone."""
    draw = random.Random(0)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(3, 97) for _ in range(count)]

    start = tokens(6)
    return [
        EncodedPair("apart", tokens(12), tokens(7), tokens(3)),
        EncodedPair("alike", tokens(20), start + tokens(5), start + tokens(9)),
        EncodedPair("within", tokens(3), start, start + tokens(4)),
        EncodedPair("chosen", tokens(4), tokens(5), []),
        EncodedPair("rejected", tokens(1), [], tokens(8)),
        EncodedPair("short", tokens(1), tokens(1), tokens(1)),
    ]


def alone(model: Any, pairs: list[EncodedPair]) -> Sequences:
    """Each sequence's log-probs from the model's own logits, no other sequence beside it."""
    result = {}
    for number, pair in enumerate(pairs):
        for side, response in enumerate((pair.chosen_ids, pair.rejected_ids)):
            if response:
                ids = torch.tensor([pair.prompt_ids + response])
                logits = model(input_ids=ids, use_cache=False).logits[0].double()
                first = len(pair.prompt_ids) - 1
                every = torch.log_softmax(logits[first:-1], -1)
                result[side, number] = every.gather(1, torch.tensor(response)[:, None])[:, 0]
    return result


def together(model: Any, pairs: list[EncodedPair], **form: Any) -> Sequences:
    result = {}
    for part in PairCollator(0, form="packed", **form)(pairs):
        flat = model(**part.model).flatten()[part.side_index]
        count = len(part.index)
        for place, logps in enumerate(flat.split(part.lengths)):
            if len(logps):
                result[place // count, part.index[place % count]] = logps
    return result


def gradients(model: nn.Module, sequences: Sequences) -> dict[str, Tensor]:
    """Of a sum in which each token has a weight of its own."""
    total = torch.zeros((), dtype=torch.float64)
    for (side, number), logps in sequences.items():
        weights = torch.arange(1, len(logps) + 1) * (0.3 + number) * (1 - 1.7 * side)
        total = total + (torch.sin(logps.double()) * weights).sum()
    names, parameters = zip(
        *((name, p) for name, p in model.named_parameters() if p.requires_grad), strict=True
    )
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    return {name: g for name, g in zip(names, found, strict=True) if g is not None}


def check_equal(ours: dict[Any, Tensor], right: dict[Any, Tensor], tolerance: float) -> None:
    assert ours.keys() == right.keys()
    for name, expected in right.items():
        size = float(expected.detach().abs().max())
        torch.testing.assert_close(
            ours[name].double(), expected.double(), rtol=0, atol=tolerance * max(size, 1e-6)
        )


@pytest.mark.parametrize(("name", "changes", "dtype"), CASES, ids=str)
def test_packed_equals_each_sequence_alone(
    name: str, changes: dict[str, Any], dtype: torch.dtype
) -> None:
    pairs = some_pairs()
    model = make(name, **changes).to(dtype)
    right = alone(model, pairs)
    right_gradients = gradients(model, right)
    assert packing_of(model, True).form == "packed"
    attach_logps(model, "torch")
    for form in FORMS:
        ours = together(model, pairs, **form)
        check_equal(ours, right, TOLERANCE[dtype][0])
        check_equal(gradients(model, ours), right_gradients, TOLERANCE[dtype][1])
    # without a layout the model is what it was
    check_equal(alone(model, pairs), right, TOLERANCE[dtype][0])


@pytest.mark.parametrize("name", ["LlamaConfig", "Gemma2Config", "Gemma3TextConfig"])
@pytest.mark.parametrize("kernel", ["torch", "eager"])
def test_gradient_checkpointing(name: str, kernel: str) -> None:
    pairs = some_pairs()
    model = make(name)
    right = gradients(model, alone(model, pairs))
    packing_of(model, True)
    attach_logps(model, kernel)
    model.gradient_checkpointing_enable()
    model.train()
    ours = gradients(model, together(model, pairs, share_prompt=True))
    check_equal(ours, right, TOLERANCE[torch.float32][1])


def test_lora() -> None:
    pairs = some_pairs()
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(make("LlamaConfig").double(), config, autocast_adapter_dtype=False)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    right = alone(model, pairs)
    right_gradients = gradients(model, right)
    assert len(right_gradients) == 12
    assert packing_of(model, True).form == "packed"
    attach_logps(model, "torch")
    ours = together(model, pairs, share_prompt=True)
    check_equal(ours, right, 1e-6)
    check_equal(gradients(model, ours), right_gradients, 2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_the_float32_model(dtype: torch.dtype) -> None:
    pairs = some_pairs()
    model = make("LlamaConfig")
    right = alone(model, pairs)
    model.to(dtype)
    assert packing_of(model, True).form == "packed"
    attach_logps(model, "torch")
    ours = together(model, pairs, share_prompt=True)
    check_equal(ours, right, 0.05)
    assert all(bool(g.isfinite().all()) for g in gradients(model, ours).values())


def test_autocast() -> None:
    pairs = some_pairs()
    model = make("Qwen3Config")
    right = alone(model, pairs)
    packing_of(model, True)
    attach_logps(model, "torch")
    with torch.autocast("cpu", torch.bfloat16):
        ours = together(model, pairs, share_prompt=True)
    check_equal(ours, right, 0.05)
    assert all(bool(g.isfinite().all()) for g in gradients(model, ours).values())


def test_generation_and_padded_batches_are_what_they_were() -> None:
    model = make("Gemma3TextConfig").eval()
    ids = torch.tensor([[0, 0, 5, 6, 7], [8, 9, 10, 11, 12]])
    inputs = {"attention_mask": (ids > 0).long(), "max_new_tokens": 6, "do_sample": False}
    before = model.generate(ids, **inputs), model(ids, attention_mask=inputs["attention_mask"])
    packing_of(model, True)
    after = model.generate(ids, **inputs), model(ids, attention_mask=inputs["attention_mask"])
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1].logits, after[1].logits)


@pytest.mark.parametrize("window", [None, 1, 7, 64])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("rows", [5, 256])
def test_attention_equals_one_masked_softmax(
    window: int | None, softcap: float | None, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clairkit.logprobs.packed_attention._ROWS", rows)
    for seed in range(4):
        layout = some_layout(seed)
        torch.manual_seed(seed)
        heads = (4, 2, 2)
        states = [
            torch.randn(1, count, layout.length, 8, dtype=torch.float64, requires_grad=True)
            for count in heads
        ]
        query, key, value = states
        products = 0.4 * query @ key.repeat_interleave(2, dim=1).transpose(2, 3)
        if softcap is not None:
            products = softcap * torch.tanh(products / softcap)
        products = products.masked_fill(~seen(layout, window), -torch.inf)
        right = (products.softmax(-1) @ value.repeat_interleave(2, dim=1)).transpose(1, 2)
        ours = packed_attention(query, key, value, layout, Scores(0.4, window, softcap))
        torch.testing.assert_close(ours, right, rtol=1e-10, atol=1e-12)
        weights = torch.randn_like(right)
        pairs = (torch.autograd.grad((out * weights).sum(), states) for out in (ours, right))
        for found, expected in zip(*pairs, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


class Fake(nn.Module):
    """What a layer of attention shows of itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = type("Config", (), settings)
        self.layer_idx = 0
        self.is_causal = settings.get("is_causal", True)


@pytest.mark.parametrize(
    ("settings", "inputs", "problem"),
    [
        ({}, {"s_aux": torch.zeros(2)}, "scores are changed by s_aux"),
        ({"layer_types": ["chunked_attention"]}, {}, "a layer is of type chunked_attention"),
        ({"layer_types": ["sliding_attention"]}, {}, "does not tell its window"),
        ({"attention_chunk_size": 8}, {}, "attention goes by chunks"),
        ({"is_causal": False}, {}, "it is not causal"),
        ({}, {"attention_mask": torch.ones(1, 1, 4, 4)}, "makes a mask of its own"),
        ({}, {"layout": PackedLayout((Tree(0, 9),))}, "keys for 9 packed tokens"),
    ],
    ids=str,
)
def test_attention_of_another_kind_is_refused(
    settings: dict[str, Any], inputs: dict[str, Any], problem: str
) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    run = ALL_ATTENTION_FUNCTIONS[packed_implementation("sdpa")]
    states = [torch.zeros(1, 2, 4, 8) for _ in range(3)]
    arguments = {"attention_mask": None, "layout": PackedLayout((Tree(0, 4),)), **inputs}
    with pytest.raises(UsageError, match=problem):
        run(Fake(**settings), *states, **arguments)


def test_a_long_pair_makes_no_mask_of_its_square() -> None:
    """What autograd keeps of one layer stays linear in the tokens, with a window, too."""
    layout = PackedLayout((Tree(0, 1500, 1200, 1300),))
    states = [torch.randn(1, 1, 4000, 4, requires_grad=True) for _ in range(3)]
    for window in (None, 2000):
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            packed_attention(*states, layout, Scores(0.5, window))
        assert sum(kept.values()) < 12 * 4 * 4000 * 4 * 4 < 4000 * 4000
