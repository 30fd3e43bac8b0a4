"""Columns of a reward model against its own output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_llama, make_tokenizer

from clairkit.batching import ChatEncoder
from clairkit.errors import ResourceError, UsageError
from clairkit.evaluation.pairs.pair_rewards import reward_columns
from clairkit.records import Pair
from clairkit.training.config import TrainConfig


def make_reward_model(folder: Path) -> Any:
    from transformers import LlamaForSequenceClassification

    config = make_llama().config
    config.num_labels = 1
    torch.manual_seed(3)
    model = LlamaForSequenceClassification(config)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return model.eval()


def make_pair(chosen: str, rejected: str) -> Pair:
    def message(role: str, content: str) -> Any:
        return ({"role": role, "content": content},)

    return Pair(message("user", "p"), message("assistant", chosen), message("assistant", rejected))


def config_of(model: Path, **settings: Any) -> TrainConfig:
    return TrainConfig(model=str(model), pairs="p", output="o", **settings)


@torch.no_grad()
def test_rewards_are_the_models_output_for_the_whole_conversation(tmp_path: Path) -> None:
    model, encoder = make_reward_model(tmp_path), ChatEncoder(make_tokenizer())
    pairs = [
        make_pair("same", "same"),
        make_pair("The quick fox", "The slow 🦊"),
        make_pair("a", "b"),
    ]
    said: list[str] = []
    found = reward_columns(pairs, config_of(tmp_path, max_length=2), said.append)
    assert sorted(found.columns) == [1, 2]
    assert found.left_out == {"identical": 1}
    for place, row in found.columns.items():
        pair, rewards = pairs[place], []
        for response in (pair.chosen, pair.rejected):
            whole = encoder.response(pair.prompt, response)
            ids = torch.tensor([whole.prompt_ids + whole.response_ids])
            rewards.append(float(model(input_ids=ids).logits[0, 0]))
        assert [row["reward_chosen"], row["reward_rejected"]] == pytest.approx(rewards, abs=1e-5)
        assert rewards[0] != pytest.approx(rewards[1], abs=1e-5)
        assert row["reward_margin"] == pytest.approx(rewards[0] - rewards[1], abs=1e-5)
        assert row["reward_model"] == str(tmp_path)
    assert said == [f"{tmp_path}: 4 sequences read"]


def test_a_language_model_is_no_reward_model(model_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"one output: received .*LlamaForCausalLM, 2 outputs"):
        reward_columns([make_pair("a", "b")], config_of(model_folder))


def test_a_reward_that_is_no_number(tmp_path: Path) -> None:
    model = make_reward_model(tmp_path)
    model.score.weight.data.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    with pytest.raises(ResourceError, match="a reward is not finite; pair "):
        reward_columns([make_pair("a", "b")], config_of(tmp_path))
