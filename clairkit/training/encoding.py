"""Encode pairs as a configuration says: the one place that hands its keys to the encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

from clairkit.batching import ChatEncoder, EncodedPair, EncodedPairs, encode_pairs
from clairkit.batching.encode import encode_pair
from clairkit.choices import Thoughts, Truncation
from clairkit.records import Pair
from clairkit.training.config import TrainConfig


class _Keys(TypedDict):
    max_length: int | None
    truncation: Truncation
    thoughts: Thoughts
    assistant_only: bool


def _keys(config: TrainConfig) -> _Keys:
    return {
        "max_length": config.max_length,
        "truncation": config.truncation,
        "thoughts": config.thoughts,
        "assistant_only": config.assistant_only_loss,
    }


def encode_for_training(
    pairs: Iterable[Pair], encoder: ChatEncoder, config: TrainConfig
) -> EncodedPairs:
    """Encode all pairs of a run.

    Raises:
        DataError: as of `encode_pairs`.
    """
    return encode_pairs(
        pairs, encoder, needs=config.mix.needs, skip_bad=config.skip_bad, **_keys(config)
    )


def encode_pair_for_training(
    pair: Pair, encoder: ChatEncoder, counts: Counter[str], config: TrainConfig
) -> EncodedPair | None:
    """Encode one pair of two sides; None when training would drop it, `counts` then says why.

    Args:
        pair: of two sides.
        encoder: of the model's tokenizer.
        counts: gets what happened to the pair.
        config: of the run.

    Raises:
        DataError: it is too long under truncation "error".
        Unrenderable: the chat template does not take it.
    """
    return encode_pair(pair, encoder, counts, **_keys(config))
