"""Time a few real steps of a shallow model with random weights: operations a second here."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from clairkit.batching.pack import ModelInputs
from clairkit.logprobs.head import attach_logps, base_causal_lm
from clairkit.logprobs.packing_check import packing_of
from clairkit.planning.estimate import Bounds, Rate
from clairkit.planning.model import without_adapter
from clairkit.planning.simulate import simulate_step
from clairkit.planning.work import Work, pairs_of_lengths, work_of
from clairkit.training.config import TrainConfig
from clairkit.training.preparation import prepare_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_LAYERS = 2
_TOKENS = 512  # of the probe's part, at most
_ROUNDS = 3
# A shallow model and a short part differ from the run.
_SPREAD = (0.75, 1.15)


def probe_rate(
    settings: PreTrainedConfig, config: TrainConfig, work: Work, device: torch.device
) -> Rate:
    """Return the operations a second of forwards and backwards with the real layer shapes.

    Args:
        settings: the model's configuration.
        config: of the run; its adapter and 4-bit weights are left out.
        work: of the run.
        device: where to run.
    """
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(settings)
    text = small.get_text_config()
    text.num_hidden_layers = min(_LAYERS, text.num_hidden_layers)
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[: text.num_hidden_layers]
    plain = replace(without_adapter(config), arguments={})
    length = max(min(work.part_tokens, _TOKENS) // 3, 1)
    tiny = work_of(pairs_of_lengths(f"{length},{length},{length}", 1), plain, "packed", device.type)
    step = simulate_step(small, plain, tiny)
    model = AutoModelForCausalLM.from_config(small, dtype=torch.float32).to(device).train()
    prepare_model(model, plain)
    attach_logps(model, config.kernel, config.memory_budget, device)
    packing_of(base_causal_lm(model), config.padding_free)
    inputs = tiny.part.to(device).model
    mixed = bool(config.arguments.get("bf16")) or config.dtype == "bfloat16"
    times = [_timed(model, inputs, device, mixed) for _ in range(_ROUNDS + 1)][1:]
    vocabulary, hidden = step.head
    flops = step.flops + 8.0 * tiny.part.scored_tokens * vocabulary * hidden
    low, high = _SPREAD
    rate = Bounds(low * flops / max(times), high * flops / min(times))
    return Rate(rate, f"measured here on {text.num_hidden_layers} layers, extrapolated")


def _timed(model: nn.Module, inputs: ModelInputs, device: torch.device, mixed: bool) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
        loss = model(**inputs).sum()
    loss.backward()
    model.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
