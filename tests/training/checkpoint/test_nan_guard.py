"""Numbers that are not finite reach neither the weights nor the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_llama, make_tokenizer

from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.records import Pair
from clairkit.training import PreferenceTrainer, TrainConfig

PAIRS = [
    Pair(
        prompt=({"role": "user", "content": f"say {n}"},),
        chosen=({"role": "assistant", "content": f"the {n} fox"},),
        rejected=({"role": "assistant", "content": f"the {n} dog"},),
    )
    for n in range(4)
]
ARGUMENTS = {
    "per_device_train_batch_size": 2,
    "max_steps": 2,
    "use_cpu": True,
    "save_strategy": "no",
    "logging_steps": 1,
    "disable_tqdm": True,
}


def trainer(tmp_path: Path, model: Any, pairs: Any = PAIRS) -> PreferenceTrainer:
    config = TrainConfig(model="m", pairs="p", output=str(tmp_path / "run"), arguments=ARGUMENTS)
    return PreferenceTrainer(model, make_tokenizer(), config, pairs, PAIRS[:2])


def test_a_gradient_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    model = make_llama()
    run = trainer(tmp_path, model)
    run.compute_references()
    model.model.layers[0].mlp.up_proj.weight.register_hook(lambda g: g * float("nan"))
    with pytest.raises(ResourceError, match=r"gradient is not finite; pairs ([0-9a-f]{16}, ){1}"):
        run.train()
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    model = make_llama()
    run = trainer(tmp_path, model)
    with torch.no_grad():
        model.lm_head.weight[3, 3] = float("inf")
    with pytest.raises(ResourceError, match=r"lm_head\.weight is not finite: nothing was written"):
        run.save_model()
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_rows_that_are_no_pairs_are_named_by_their_type(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "chosen": "b", "rejected": "c"}]
    with pytest.raises(UsageError, match=r"received 'dict'.*read_pairs"):
        trainer(tmp_path, make_llama(), rows)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"token id \d+, and the model has 200 embeddings"):
        trainer(tmp_path, make_llama(vocabulary=200))


def test_an_evaluation_under_another_prefix_has_its_own_metrics(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama())
    run.train()
    run.evaluate(metric_key_prefix="test")
    assert "test_rewards/chosen" in run.state.log_history[-1]


def test_a_reference_is_not_made_of_a_model_that_was_trained(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama())
    run.train()
    run.eval_dataset.reference = None
    with pytest.raises(UsageError, match="it has been trained"):
        run.evaluate()
