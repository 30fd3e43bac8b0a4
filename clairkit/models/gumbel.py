"""Sample by the Gumbel-max trick, with one random stream per row.

argmax(logits / T + Gumbel noise) is a sample of softmax(logits / T). As each row draws its noise
from its own generator, a row's sample does not depend on which rows share its batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from clairkit.models.sampling import Sampling


def row_seed(seed: int, key: str) -> int:
    """Return the seed of a row's own random stream."""
    head = hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8]
    return int.from_bytes(head, "big") >> 1  # torch takes 63 bits on every device


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]
    """Adds Gumbel noise to each row of scores from that row's own generator."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._draws: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        del input_ids
        if self._draws is None or self._draws.shape != scores.shape:
            self._draws = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(self._draws, self._generators, strict=True):
            row.exponential_(generator=generator)
        # The negative log of an exponential draw is a Gumbel draw.
        return scores - self._draws.clamp_min(torch.finfo(torch.float32).tiny).log()


def sampling_processors(
    sampling: Sampling, keys: Sequence[str], device: torch.device
) -> LogitsProcessorList:
    """Return what turns logits into scores whose argmax is the sample of each row."""
    if sampling.temperature == 0:
        return LogitsProcessorList()
    steps: list[LogitsProcessor] = []
    if sampling.temperature != 1:
        steps.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(float(sampling.top_p)))
    seeds = [row_seed(sampling.seed, key) for key in keys]
    return LogitsProcessorList([*steps, GumbelNoise(seeds, device)])
