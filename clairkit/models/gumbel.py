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


def gumbel_noise(like: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Return Gumbel noise [B, V], each row from its own generator, in the form of `like`."""
    # On a CPU these are the draws of `exponential_`, bit for bit, at a sixth of its time.
    on_cpu = like.device.type == "cpu"
    draws = torch.empty_like(like, dtype=torch.float64 if on_cpu else torch.float32)
    for row, generator in zip(draws, generators, strict=True):
        row.uniform_(generator=generator) if on_cpu else row.exponential_(generator=generator)
    if on_cpu:
        draws = draws.neg_().log1p_().neg_().float()
    # The negative log of an exponential draw is a Gumbel draw.
    return draws.clamp_min_(torch.finfo(torch.float32).tiny).log_().neg_()


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]
    """Adds Gumbel noise to each row of scores from that row's own generator."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        del input_ids
        return scores + gumbel_noise(scores, self._generators)


class RowSampler:
    """Picks the next token of rows that come and go, each with a generator of its own."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._sampling = sampling
        self._device = device
        self._steps = score_processors(sampling)

    def generator(self, key: str) -> torch.Generator | None:
        """Return a row's random stream; None where nothing is drawn."""
        if self._sampling.temperature == 0:
            return None
        return torch.Generator(self._device).manual_seed(row_seed(self._sampling.seed, key))

    def pick(self, logits: torch.Tensor, generators: Sequence[torch.Generator | None]) -> list[int]:
        """Return a token for each row of logits [B, V], float32."""
        streams = [generator for generator in generators if generator is not None]
        if streams:
            scores = self._steps(None, logits)
            logits = scores + gumbel_noise(scores, streams)
        tokens: list[int] = logits.argmax(-1).tolist()
        return tokens


def score_processors(sampling: Sampling) -> LogitsProcessorList:
    """Return what turns logits into the scores that noise is added to."""
    steps: list[LogitsProcessor] = []
    if sampling.temperature not in (0, 1):
        steps.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(float(sampling.top_p)))
    return LogitsProcessorList(steps)


def sampling_processors(
    sampling: Sampling, keys: Sequence[str], device: torch.device
) -> LogitsProcessorList:
    """Return what turns logits into scores whose argmax is the sample of each row."""
    if sampling.temperature == 0:
        return LogitsProcessorList()
    seeds = [row_seed(sampling.seed, key) for key in keys]
    return LogitsProcessorList([*score_processors(sampling), GumbelNoise(seeds, device)])
