"""Random models and batches of a case, the same ones in every process. No download."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from clairkit.bench.cases import PairLengths, StepCase

Tokens = tuple[list[int], list[int], list[int]]

_HEAD_SIZE = 64
# Log-ratios of a few nats to either side: the losses are neither at their start nor saturated.
_DRIFT = 0.01


def build_model(case: StepCase, device: torch.device) -> nn.Module:
    """Return the case's Llama with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = max(case.hidden // _HEAD_SIZE, 1)
    config = LlamaConfig(
        vocab_size=case.vocabulary,
        hidden_size=case.hidden,
        intermediate_size=3 * case.hidden,
        num_hidden_layers=case.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2 if heads % 2 == 0 else heads,
        max_position_embeddings=32768,
        tie_word_embeddings=case.tied,
    )
    torch.manual_seed(case.seed)
    model: nn.Module = LlamaForCausalLM(config).to(device, getattr(torch, case.dtype)).train()
    if case.head == "frozen":
        for module in (model.get_output_embeddings(), model.get_input_embeddings()):  # type: ignore[operator]
            module.weight.requires_grad_(False)
    return model


def sharing_copy(model: nn.Module) -> Any:
    """Return a model of its own that holds the very parameters and buffers of `model`."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


@torch.no_grad()
def drift(model: nn.Module, seed: int) -> None:
    """Move the trained parameters a little, as training does: policy and reference part."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = {
        id(module.weight)
        for module in (model.get_output_embeddings(), model.get_input_embeddings())  # type: ignore[operator]
    }
    for parameter in model.parameters():
        if id(parameter) not in vocabulary:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise.to(parameter), alpha=_DRIFT)


def random_tokens(case: StepCase, lengths: tuple[PairLengths, ...] | None = None) -> list[Tokens]:
    """Return (prompt, chosen, rejected) token ids of the case's lengths, or of others."""
    generator = torch.Generator().manual_seed(case.seed)

    def ids(count: int) -> list[int]:
        drawn: list[int] = torch.randint(case.vocabulary, (count,), generator=generator).tolist()
        return drawn

    return [
        (ids(pair.prompt), ids(pair.chosen), ids(pair.rejected))
        for pair in (case.lengths if lengths is None else lengths)
    ]
