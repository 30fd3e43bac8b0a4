"""Run TRL's DPOTrainer on token ids, as fast as its settings make it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

_SETTINGS: Mapping[str, Any] = {
    "precompute_ref_log_probs": True,
    "gradient_checkpointing": False,
    "disable_dropout": True,
    "max_length": None,
}


class TokenDPOTrainer(DPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer on a dataset that holds its token columns already."""

    def _prepare_dataset(self, dataset: Dataset, *_: object, **__: object) -> Dataset:
        return dataset


def trl_trainer(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[list[int], list[int], list[int]]],
    *,
    loss: str,
    beta: float,
    arguments: Mapping[str, Any],
) -> Any:
    """Return the trainer, the reference's log-probs computed.

    Args:
        model: a transformers causal language model; it is the reference, too.
        tokenizer: for its padding token.
        pairs: prompt, chosen and rejected token ids of each pair.
        loss: a name of TRL's `loss_type`.
        beta: factor on the log-ratios.
        arguments: of TrainingArguments.
    """
    columns = zip(*pairs, strict=True)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    rows = Dataset.from_dict(dict(zip(names, map(list, columns), strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what TRL will drop
        config = DPOConfig(loss_type=[loss], beta=beta, **_SETTINGS, **arguments)
        return TokenDPOTrainer(model, args=config, train_dataset=rows, processing_class=tokenizer)
