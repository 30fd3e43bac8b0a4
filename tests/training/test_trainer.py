"""The trainer against a plain loop, its guards, its files, and resuming."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_llama, make_tokenizer
from torch import Tensor, nn

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.errors import DataError, GateError, ResourceError, UsageError
from clairkit.losses import LOSSES, preference_loss
from clairkit.records import Pair, write_pairs
from clairkit.training import PreferenceTrainer, TrainConfig, resolve, run_training
from clairkit.training.preparation import has_dropout, prepare_model

ARGUMENTS = {
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "save_strategy": "no",
    "use_cpu": True,
    "disable_tqdm": True,
    "max_steps": 3,
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,
    "lr_scheduler_type": "constant",
}


def pairs(count: int, start: int = 0) -> list[Pair]:
    return [
        Pair(
            prompt=({"role": "user", "content": f"say {n}"},),
            chosen=({"role": "assistant", "content": f"the {n} fox"},),
            rejected=({"role": "assistant", "content": f"the {n} dog is here"},),
        )
        for n in range(start, start + count)
    ]


def config(tmp_path: Path, **changes: Any) -> TrainConfig:
    arguments = {**ARGUMENTS, **changes.pop("arguments", {})}
    return TrainConfig(
        model="m", pairs="p", output=str(tmp_path / "run"), arguments=arguments, **changes
    )


def trainer(tmp_path: Path, model: nn.Module, **changes: Any) -> PreferenceTrainer:
    return PreferenceTrainer(
        model, make_tokenizer(), config(tmp_path, **changes), pairs(12), pairs(6, 20)
    )


def plain_losses(model: Any, loss: str, steps: int) -> list[float]:
    """The same training in a dozen lines: full logits, AdamW, no Trainer, no padding."""
    encoded = encode_pairs(pairs(12), ChatEncoder(make_tokenizer())).pairs

    def logp(prompt: list[int], response: list[int]) -> Tensor:
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        return torch.log_softmax(logits, -1).gather(1, torch.tensor(response)[:, None]).sum()

    with torch.no_grad():
        reference = [
            [logp(p.prompt_ids, side) for side in (p.chosen_ids, p.rejected_ids)] for p in encoded
        ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    result = []
    for step in range(steps):
        rows = range(4 * step, 4 * step + 4)
        chosen = torch.stack([logp(encoded[i].prompt_ids, encoded[i].chosen_ids) for i in rows])
        rejected = torch.stack([logp(encoded[i].prompt_ids, encoded[i].rejected_ids) for i in rows])
        lengths = {
            "chosen_lengths": torch.tensor([len(encoded[i].chosen_ids) for i in rows]),
            "rejected_lengths": torch.tensor([len(encoded[i].rejected_ids) for i in rows]),
        }
        anchors = (torch.stack([reference[i][side] for i in rows]) for side in (0, 1))
        value = preference_loss(chosen, rejected, *anchors, loss=loss, **lengths).loss
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        result.append(value.item())
    return result


@pytest.mark.parametrize(
    ("kernel", "loss"),
    [
        *(
            (kernel, loss)
            for kernel in ("torch", "triton")  # Triton's compares in one launch with the sums
            for loss in ("apo_zero", "apo_down", "sigmoid", "ipo", "sft", "exo_pair")
        ),
        ("eager", "apo_zero"),
    ],
)
def test_losses_equal_those_of_a_plain_loop(tmp_path: Path, kernel: str, loss: str) -> None:
    run = trainer(
        tmp_path,
        make_llama(),
        loss=loss,
        kernel=kernel,
        arguments={"train_sampling_strategy": "sequential"},
    )
    run.train()
    ours = [row["loss"] for row in run.state.log_history if "loss" in row]
    assert ours == pytest.approx(plain_losses(make_llama(), loss, 3), rel=2e-5, abs=1e-6)


@pytest.mark.slow
def test_step_0_is_known_for_every_loss_and_rewards_start_at_nothing(tmp_path: Path) -> None:
    for name in LOSSES:
        run = trainer(tmp_path, make_llama(), loss=name, arguments={"max_steps": 1})
        run.train()
        first = run.state.log_history[0]
        assert abs(first["rewards/chosen"]) + abs(first["rewards/rejected"]) < 1e-4
        if name in ("apo_zero", "apo_down"):
            assert first["loss"] == pytest.approx(1.0, abs=1e-5)


def test_shared_prefix_tokens_get_gradient_under_apo_and_none_under_dpo() -> None:
    """They cancel in DPO's difference; APO anchors each side by itself."""
    gradients = {}
    for loss in ("apo_zero", "sigmoid"):
        shared = torch.full((1,), -5.0, requires_grad=True)  # log-prob of a common beginning
        chosen, rejected = shared - 10.0, shared - 14.0
        result = preference_loss(
            chosen, rejected, torch.tensor([-15.0]), torch.tensor([-17.0]), loss=loss
        )
        (gradients[loss],) = torch.autograd.grad(result.loss, shared)
    assert float(gradients["sigmoid"].abs()) < 1e-9
    assert float(gradients["apo_zero"].abs()) > 1e-4


def test_metrics_have_trl_names_and_quadrants_sum_to_one(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama())
    run.train()
    last = [row for row in run.state.log_history if "loss" in row][-1]
    names = "rewards/chosen rewards/rejected rewards/accuracies rewards/margins logps/chosen"
    assert {*names.split(), "logps/rejected", "saturation/chosen"} <= set(last)
    assert sum(v for k, v in last.items() if k.startswith("quadrants/")) == pytest.approx(1.0)
    assert last["rewards/margins"] > 0
    held_out = run.evaluate()
    assert held_out["eval_loss"] < 1.0


def test_accumulated_metrics_and_loss_equal_those_of_one_batch(tmp_path: Path) -> None:
    rows = []
    for size, steps in ((4, 1), (2, 2)):
        arguments = {
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": steps,
            "max_steps": 2,
            "train_sampling_strategy": "sequential",
        }
        run = trainer(tmp_path, make_llama(), arguments=arguments)
        run.train()
        rows.append([row for row in run.state.log_history if "loss" in row][-1])
    for name in ("loss", "rewards/chosen", "logps/rejected", "quadrants/chosen_up_rejected_down"):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-4, abs=1e-6)


def test_terms_of_a_sum_of_losses_are_logged_apart(tmp_path: Path) -> None:
    arguments = {"per_device_train_batch_size": 4, "train_sampling_strategy": "sequential"}
    rows = {}
    for loss in ("apo_zero+0.1*sft", "apo_zero", "sft"):
        run = trainer(tmp_path, make_llama(), loss=loss, tokens_per_step=40, arguments=arguments)
        run.train()
        rows[loss] = run.state.log_history[0]
    row = rows.pop("apo_zero+0.1*sft")
    for name, alone in rows.items():
        assert row[f"loss/{name}"] == pytest.approx(alone["loss"], rel=1e-4)
        assert not any(key.startswith("loss/") for key in alone)
    assert row["loss"] == pytest.approx(row["loss/apo_zero"] + 0.1 * row["loss/sft"], rel=1e-4)


def test_a_reference_that_is_not_the_policy_stops_at_step_0(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama())
    run.compute_references()
    with torch.no_grad():
        run.model.model.norm.weight.mul_(1.5)
    with pytest.raises(GateError, match=r"at step 0 the loss is .* and should be 1\.000000"):
        run.train()


def test_dropout_is_switched_off_so_that_policy_and_reference_agree(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama(attention_dropout=0.5))
    run.train()
    assert run.state.log_history[0]["loss"] == pytest.approx(1.0, abs=1e-5)


def test_dropout_left_on_acts_in_training_alone(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama(attention_dropout=0.5), disable_dropout=False)
    run.train()
    assert run.state.log_history[0]["kl/rejected"] > 1e-5


def test_with_dropout_a_reference_that_is_not_the_policy_stops_at_step_0(tmp_path: Path) -> None:
    run = trainer(tmp_path, make_llama(attention_dropout=0.5), disable_dropout=False)
    run.compute_references()
    with torch.no_grad():
        run.model.model.norm.weight.mul_(1.5)
    with pytest.raises(GateError, match=r"at step 0 the loss is .* and should be 1\.000000"):
        run.train()


def test_rates_of_dropout_are_found_in_modules_and_attributes() -> None:
    from transformers import OPTConfig, OPTForCausalLM

    model = OPTForCausalLM(
        OPTConfig(
            vocab_size=16,
            hidden_size=8,
            ffn_dim=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            word_embed_proj_dim=8,
            dropout=0.3,
            layerdrop=0.2,
        )
    ).train()
    assert has_dropout(model)
    config = TrainConfig(model="m", pairs="p", output="o")
    prepare_model(model, config)
    assert not has_dropout(model)
    ids = torch.arange(8)[None]
    assert torch.equal(model(ids).logits, model.eval()(ids).logits)


def test_a_loss_that_is_not_finite_names_the_pairs(tmp_path: Path) -> None:
    model = make_llama()
    run = trainer(tmp_path, model)
    run.compute_references()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(ResourceError, match=r"loss is nan; pairs [0-9a-f]{16}"):
        run.train()


def test_freezing_the_head_leaves_it_as_it_was(tmp_path: Path) -> None:
    model = make_llama()
    before = model.lm_head.weight.clone()
    trainer(tmp_path, model, freeze=("lm_head*",)).train()
    assert torch.equal(model.lm_head.weight, before)
    with pytest.raises(UsageError, match="matches no parameter"):
        trainer(tmp_path, make_llama(), freeze=("head.*",))
    with pytest.raises(DataError, match="nothing is trainable"):
        trainer(tmp_path, make_llama(), freeze=("*",))


@pytest.fixture
def files(tmp_path: Path, model_folder: Path) -> dict[str, str]:
    write_pairs(tmp_path / "pairs.jsonl", pairs(12))
    write_pairs(tmp_path / "eval.jsonl", pairs(4, 10))
    return {
        "model": str(model_folder),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "eval_pairs": str(tmp_path / "eval.jsonl"),
        "output": str(tmp_path / "run"),
    }


SETTINGS = ("max_steps=6", "save_steps=2", "logging_steps=2", "learning_rate=1e-3", "use_cpu=true")


def weights(run: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(run / "model.safetensors")


def test_a_run_writes_its_files_and_resumes_to_the_same_bits(
    files: dict[str, str], tmp_path: Path
) -> None:
    said: list[str] = []
    result = run_training(resolve(files, SETTINGS), say=said.append)
    run = tmp_path / "run"
    assert result.steps == 6
    assert any("2 prompts are in the training and in the evaluation pairs" in s for s in said)
    assert {"config.yaml", "metrics.jsonl", "run.json", "README.md", "config.json"} <= {
        path.name for path in run.iterdir()
    }
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [2, 4, 6]
    assert json.loads((run / "run.json").read_text())["packages"]["torch"] == torch.__version__

    undisturbed = weights(run)
    shutil.rmtree(run / "checkpoint-6")
    (run / "checkpoint-4" / "optimizer.pt").write_bytes(b"cut short")
    said.clear()
    run_training(resolve(files, SETTINGS), resume=True, say=said.append)
    assert any("skipped checkpoint-4 has optimizer.pt with 9 bytes" in line for line in said)
    assert any("Resuming from" in line and "checkpoint-2" in line for line in said)
    assert all(torch.equal(weights(run)[name], value) for name, value in undisturbed.items())


def test_a_run_directory_that_holds_something_is_not_overwritten(
    files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="not empty"):
        run_training(resolve(files, SETTINGS))
    with pytest.raises(UsageError, match="no run directory"):
        run_training(resolve(files, SETTINGS), resume=True)


def test_nothing_left_stops_before_weights_are_loaded(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.AutoModelForCausalLM.from_pretrained",
        lambda *a, **k: pytest.fail("weights were loaded"),
    )
    with pytest.raises(DataError, match="0 of 12 pairs left"):
        run_training(resolve(files, [*SETTINGS, "max_length=5"]))


def test_a_model_that_is_not_there_is_one_line(files: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        run_training(resolve({**files, "model": "/nowhere/model"}, SETTINGS))


def test_what_a_run_starts_from_is_not_written_over(files: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="the run directory is the model"):
        run_training(resolve({**files, "output": files["model"]}, SETTINGS), force=True)
