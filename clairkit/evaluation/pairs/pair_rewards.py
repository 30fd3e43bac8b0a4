"""Ask a reward model about pairs: a number for each side, and whether it prefers chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from clairkit.errors import ResourceError, UsageError
from clairkit.evaluation.pairs.pair_logps import SIDES, PairColumns, encode_by_place
from clairkit.records import Pair
from clairkit.records.json_types import JsonObject
from clairkit.training.config import TrainConfig
from clairkit.training.models import load_settings, load_tokenizer


def reward_columns(
    pairs: Sequence[Pair], config: TrainConfig, say: Callable[[str], None] = lambda text: None
) -> PairColumns:
    """Return `reward_chosen`, `reward_rejected` and their difference, `reward_margin`.

    Each side is read behind its prompt, in the reward model's own chat template, whole and
    alone: what a classifier of sequences reads off must not depend on padding.

    Args:
        pairs: pairs of two sides.
        config: of a training run. Its `model` is the reward model, a classifier with one output;
            dtype and the keys of chat templates apply.
        say: gets a line for people.

    Raises:
        UsageError: the model can't be loaded, or has not one output.
        DataError: a pair can't be rendered.
        ResourceError: a reward is not finite.
    """
    config = replace(config, max_length=None, assistant_only_loss=False)  # it reads all turns
    model = _load(config)
    encoded, left_out = encode_by_place(pairs, load_tokenizer(config), config)
    columns = {}
    for place, pair in encoded.items():
        row: JsonObject = {"reward_model": config.model}
        for side, ids in zip(SIDES, (pair.chosen_ids, pair.rejected_ids), strict=True):
            row[f"reward_{side}"] = _reward(model, [*pair.prompt_ids, *ids], pair.id)
        row["reward_margin"] = round(row["reward_chosen"] - row["reward_rejected"], 6)
        columns[place] = row
    say(f"{config.model}: {2 * len(columns):,} sequences read")
    return PairColumns(columns, left_out)


def _load(config: TrainConfig) -> Any:
    from transformers import AutoModelForSequenceClassification

    settings = load_settings(config.model, trust_remote_code=config.trust_remote_code)
    architectures = settings.architectures or []
    # transformers would put an untrained head on any other model.
    if settings.num_labels != 1 or not any("Classification" in name for name in architectures):
        raise UsageError(
            "a reward model is a classifier of sequences with one output",
            received=f"{config.model}: {', '.join(architectures)}, {settings.num_labels} outputs",
            remedy="name one, as TRL's RewardTrainer makes it",
        )
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            config.model, dtype=config.dtype, trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"can't load the reward model {config.model!r}: {error}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.no_grad()
def _reward(model: Any, ids: list[int], pair_id: str) -> float:
    logits = model(input_ids=torch.tensor([ids], device=model.device)).logits
    reward = float(logits[0, 0])
    if not torch.isfinite(logits).all():
        raise ResourceError(
            f"a reward is not finite; pair {pair_id}", remedy="run it in float32 or bfloat16"
        )
    return round(reward, 6)
