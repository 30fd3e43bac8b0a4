"""The pairs of a run: what is told of them, and what can't train anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import make_tokenizer

from clairkit.errors import DataError, UsageError
from clairkit.records import Pair, write_pairs
from clairkit.training import TrainConfig
from clairkit.training.reading import read_run_pairs


def pair(chosen: str, rejected: str) -> Pair:
    return Pair(
        prompt=({"role": "user", "content": f"{chosen}, {rejected}?"},),
        chosen=({"role": "assistant", "content": chosen},),
        rejected=({"role": "assistant", "content": rejected},),
    )


DELETION, CHANGE = pair("the fox", "the quick fox"), pair("the fox", "the dog")


def read(tmp_path: Path, pairs: list[Pair], **changes: Any) -> list[str]:
    """Return what was said while the pairs were read."""
    write_pairs(tmp_path / "pairs.jsonl", pairs, force=True)
    said: list[str] = []
    config = TrainConfig(model="m", pairs=str(tmp_path / "pairs.jsonl"), output="o", **changes)
    read_run_pairs(config, make_tokenizer(), said.append)
    return said


@pytest.mark.parametrize(
    "mask", [{"loss_mask": "edits"}, {"loss_mask": "weighted", "shared_weight": 0.0}]
)
def test_deletions_train_nothing_under_sft_and_edits(mask: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no chosen side has an edited token"):
        read(tmp_path, [DELETION], loss="sft", **mask)
    said = read(tmp_path, [DELETION, CHANGE], loss="sft", **mask)
    assert said[-1].startswith("Warning: 1 pairs train nothing: sft reads the chosen side alone")


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "sft"},
        {"loss": "sft", "loss_mask": "weighted"},
        {"loss": "apo_zero", "loss_mask": "edits"},
        {"loss": "apo_zero+0.1*sft", "loss_mask": "edits"},
    ],
)
def test_elsewhere_a_deletion_trains_something(changes: dict[str, Any], tmp_path: Path) -> None:
    assert not any("Warning" in line for line in read(tmp_path, [DELETION], **changes))


def test_thoughts_and_special_tokens_are_told_of(tmp_path: Path) -> None:
    thinking = pair("<think>\nhm\n</think>\n\nthe fox", "the dog")
    pairs = [thinking, pair("the <|im_end|>", "the dog <|pad|>")]
    said = read(tmp_path, pairs)
    assert said[:2] == [
        "Training pairs: 2 of 2 (1 with thoughts, which are left out; 1 with special tokens as "
        "text)",
        "Special tokens in the texts, encoded as plain text: <|im_end|> in 1, <|pad|> in 1",
    ]
    assert "with thoughts, which are trained on" in read(tmp_path, pairs, thoughts="keep")[0]
    with pytest.raises(DataError, match="nothing but thoughts"):
        read(tmp_path, [pair("<think>\nnever", "the dog")])
    with pytest.raises(UsageError, match="thoughts"):
        read(tmp_path, pairs, thoughts="hide")
