"""Twenty steps with AdamW by TRL's DPOTrainer and by ours: the same numbers at every step."""

from __future__ import annotations

import math
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny import CHATML, make_llama, make_tokenizer

from clairkit.records import Pair
from clairkit.training import PreferenceTrainer, TrainConfig

trl = pytest.importorskip("trl", reason="the [trl] extra is not installed")

STEPS = 20
COMPARED = (
    "loss",
    "grad_norm",
    "learning_rate",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)
ARGUMENTS = {
    "max_steps": STEPS,
    "logging_steps": 1,
    "learning_rate": 2e-4,
    "optim": "adamw_torch",
    "per_device_train_batch_size": 4,
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "save_strategy": "no",
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
    "seed": 7,
}
CASES: dict[str, dict[str, Any]] = {
    **{loss: {"loss": loss} for loss in ("sigmoid", "apo_zero", "apo_down", "ipo", "hinge")},
    "accumulated": {"arguments": {"gradient_accumulation_steps": 2}},
    "reference first": {"theirs": {"precompute_ref_log_probs": True}},
    "padded": {"ours": {"padding_free": False}},
    "not shared": {"ours": {"share_prompt": False}},
}
# TRL trains on what a template puts behind the end of a turn, here a line break; clairkit ends a
# response with the turn. Without the break both have the same tokens.
TEMPLATE = CHATML.replace("<|im_end|>\n", "<|im_end|>")
WORDS = ("the", "quick", "brown", "fox", "assistant", "user", "system")


def make_pairs() -> list[Pair]:
    """Return pairs of random words, so that no two sides are of one length or content.

    24, which batches of 4 divide: of accumulated batches of unequal size TRL takes the mean of
    their means, clairkit the mean over pairs.
    """
    draw = random.Random(0)

    def said(role: str, least: int) -> tuple[dict[str, str], ...]:
        return ({"role": role, "content": " ".join(draw.choices(WORDS, k=draw.randint(least, 9)))},)

    return [Pair(said("user", 2), said("assistant", 1), said("assistant", 3)) for _ in range(24)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A saved Llama whose logits differ, so that its gradients are far from Adam's epsilon."""
    path = tmp_path_factory.mktemp("llama")
    model = make_llama(521)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20.0)
    model.save_pretrained(path)
    return str(path)


def load(folder: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def by_trl(folder: str, output: Path, loss: str, **arguments: Any) -> Any:
    from datasets import Dataset

    rows = [
        {key: pair.to_json()[key] for key in ("prompt", "chosen", "rejected")}
        for pair in make_pairs()
    ]
    config = trl.DPOConfig(output_dir=str(output), loss_type=loss, beta=0.1, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what TRL will drop
        trainer = trl.DPOTrainer(
            folder,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=make_tokenizer(TEMPLATE),
        )
        trainer.train()
    return trainer


def by_us(
    folder: str, output: Path, loss: str, arguments: dict[str, Any], **keys: Any
) -> PreferenceTrainer:
    config = TrainConfig(
        model=folder,
        pairs="-",
        output=str(output),
        loss=loss,
        beta=0.1,
        arguments=arguments,
        **keys,
    )
    trainer = PreferenceTrainer(load(folder), make_tokenizer(TEMPLATE), config, make_pairs())
    trainer.train()
    return trainer


def steps_of(trainer: Any) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "grad_norm" in entry]


@pytest.fixture(scope="module")
def plain_apo(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """TRL's run with APO-zero and nothing else, which several of ours must equal."""
    return by_trl(folder, tmp_path_factory.mktemp("theirs"), "apo_zero", **ARGUMENTS)


# Quick ones: of each kind of loss one, and what changes the forward pass. All run in `make test`.
QUICK = ("apo_zero", "sigmoid", "accumulated", "padded", "not shared")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_every_step_is_trls(folder: str, tmp_path: Path, name: str, plain_apo: Any) -> None:
    case = CASES[name]
    loss, arguments = case.get("loss", "apo_zero"), ARGUMENTS | case.get("arguments", {})
    own = case.get("theirs", {})
    theirs = plain_apo
    if loss != "apo_zero" or own or arguments != ARGUMENTS:
        theirs = by_trl(folder, tmp_path / "theirs", loss, **arguments, **own)
    ours = by_us(folder, tmp_path / "ours", loss, arguments, **case.get("ours", {}))
    expected, found = steps_of(theirs), steps_of(ours)
    assert len(expected) == len(found) == STEPS
    for step, (right, entry) in enumerate(zip(expected, found, strict=True), 1):
        for key in COMPARED:
            if key == "rewards/accuracies" and step == 1:
                continue  # all rewards are 0 but for rounding, which says which is larger
            assert math.isfinite(right[key])
            gap = abs(entry[key] - right[key]) / max(1.0, abs(right[key]))
            assert gap <= 1e-5, f"step {step}: {key} is {entry[key]}, TRL's {right[key]}"
    assert_same_weights(theirs.model, ours.model, load(folder))
    # parity of runs that learned nothing would prove nothing
    assert max(abs(entry["loss"] - found[0]["loss"]) for entry in found) > 0.05
    assert max(entry["rewards/margins"] for entry in found) > 0.2


def assert_same_weights(theirs: Any, ours: Any, start: Any) -> None:
    """Compare what training added to each parameter, to 1e-3 of it."""
    for (name, right), weight, before in zip(
        theirs.named_parameters(), ours.parameters(), start.parameters(), strict=True
    ):
        moved = torch.linalg.vector_norm(right - before)
        assert moved > 0, name
        assert torch.linalg.vector_norm(weight - right) <= 1e-3 * moved, name


def test_both_have_the_same_tokens(folder: str, tmp_path: Path) -> None:
    arguments = ARGUMENTS | {"max_steps": 1}
    theirs = by_trl(folder, tmp_path / "theirs", "sigmoid", **arguments)
    ours = by_us(folder, tmp_path / "ours", "sigmoid", arguments)
    sides = ("prompt_ids", "chosen_ids", "rejected_ids")
    # the order of batches is the same where each step's log-probs are
    rows = [[theirs.train_dataset[n][side] for side in sides] for n in range(24)]
    assert rows == [[getattr(pair, side) for side in sides] for pair in ours.train_dataset.pairs]
