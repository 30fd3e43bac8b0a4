"""Make random models and pairs of a case, the same ones in every process. No download."""

from __future__ import annotations

from typing import Any

import torch

from clairkit.bench.step.cases import StepCase

Tokens = tuple[list[int], list[int], list[int]]

_HEAD_SIZE = 64


def build_model(case: StepCase, device: torch.device) -> Any:
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
    model = LlamaForCausalLM(config).to(device).train()
    if case.head == "frozen":
        for module in (model.get_output_embeddings(), model.get_input_embeddings()):
            module.weight.requires_grad_(False)
    return model


def build_tokenizer() -> Any:
    """Return a tokenizer of two special tokens: trainers ask it for the id to pad with."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


def random_tokens(case: StepCase) -> list[Tokens]:
    """Return (prompt, chosen, rejected) token ids of the case's lengths."""
    generator = torch.Generator().manual_seed(case.seed)

    def ids(count: int) -> list[int]:
        drawn: list[int] = torch.randint(case.vocabulary, (count,), generator=generator).tolist()
        return drawn

    return [(ids(pair.prompt), ids(pair.chosen), ids(pair.rejected)) for pair in case.lengths]
