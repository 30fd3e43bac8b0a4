"""Tiny random models of the architectures that clairkit is tested with."""

from __future__ import annotations

from typing import Any

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

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
        "num_heads": 8,
        "head_dim": 8,
        "state_size": 8,
        "n_groups": 1,
        "chunk_size": 8,
        "tie_word_embeddings": False,
    },
    "FalconH1Config": {
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_chunk_size": 8,
        "lm_head_multiplier": 0.5,
    },
    "MixtralConfig": {"num_local_experts": 4, "num_experts_per_tok": 2},
}


def make(name: str, **changes: Any) -> Any:
    """Return a tiny random model of the architecture, float32, without dropout."""
    import torch
    import transformers
    from torch import nn

    torch.manual_seed(0)
    config_class = getattr(transformers, name)
    if name == "GPT2Config":
        shared = {key: SIZES[key] for key in ("vocab_size", "bos_token_id", "eos_token_id")}
    elif name == "Mamba2Config":
        dropped = {"intermediate_size", "num_attention_heads", "num_key_value_heads"}
        shared = {key: value for key, value in SIZES.items() if key not in dropped}
    else:
        shared = SIZES
    settings = {**shared, **ARCHITECTURES.get(name, {}), **changes}
    model = transformers.AutoModelForCausalLM.from_config(config_class(**settings))
    with torch.no_grad():  # at initialisation the logits hardly differ from each other
        for parameter in model.parameters():
            parameter.mul_(2.0)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.float()
