"""Resuming: from the same pairs and weights, by content, and from this run's checkpoints alone."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tiny import make_llama, make_tokenizer
from torch import nn
from transformers import AutoModelForCausalLM

from clairkit.errors import ResourceError, UsageError
from clairkit.logprobs.head import attach_logps
from clairkit.logprobs.packing_check import packing_of
from clairkit.records import Pair, write_pairs
from clairkit.training import resolve, run_training
from clairkit.training.checkpoint.identity import adapter_digest, check_same_inputs, weights_digest

SETTINGS = ("max_steps=4", "save_steps=2", "logging_steps=1", "learning_rate=1e-3", "use_cpu=true")


def write(path: Path, word: str = "dog") -> None:
    path.unlink(missing_ok=True)
    write_pairs(
        path,
        [
            Pair(
                prompt=({"role": "user", "content": f"say {n}"},),
                chosen=({"role": "assistant", "content": f"the {n} fox"},),
                rejected=({"role": "assistant", "content": f"the {n} {word}"},),
                id=f"{n:016x}",
            )
            for n in range(12)
        ],
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    make_llama().save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    write(tmp_path / "pairs.jsonl")
    return {
        "model": str(tmp_path / "model"),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"),
    }


def steps(run: Path) -> list[int]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["step"] for row in rows if "loss" in row]


def test_resuming_from_other_pairs_or_weights_under_the_same_path_is_refused(
    files: dict[str, Any], tmp_path: Path
) -> None:
    run_training(resolve(files, SETTINGS))
    write(tmp_path / "pairs.jsonl", "cat")  # with the same ids
    with pytest.raises(UsageError, match="the training pairs changed"):
        run_training(resolve(files, SETTINGS), resume=True)
    write(tmp_path / "pairs.jsonl")
    make_llama(seed=5).save_pretrained(tmp_path / "model")
    with pytest.raises(UsageError, match="the model's weights and the reference changed"):
        run_training(resolve(files, SETTINGS), resume=True)
    (tmp_path / "run" / "run.json").write_text("[]")
    with pytest.raises(UsageError, match=r"run\.json can't be read"):
        run_training(resolve(files, SETTINGS), resume=True)


def test_rows_that_are_written_again_replace_the_earlier_ones(
    files: dict[str, Any], tmp_path: Path
) -> None:
    run_training(resolve(files, SETTINGS))
    run = tmp_path / "run"
    shutil.rmtree(run / "checkpoint-4")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # killed while it was writing
    run_training(resolve(files, SETTINGS), resume=True)
    assert steps(run) == [1, 2, 3, 4]
    summaries = [row for row in (run / "metrics.jsonl").open() if "train_runtime" in row]
    assert len(summaries) == 1


def test_a_forced_run_can_not_resume_from_the_one_before(
    files: dict[str, Any], tmp_path: Path
) -> None:
    run_training(resolve(files, SETTINGS))
    said: list[str] = []
    shorter = (*SETTINGS, "max_steps=2", "learning_rate=2e-3")
    run_training(resolve(files, shorter), force=True, say=said.append)
    assert any("Removed 2 checkpoints" in line for line in said)
    assert [folder.name for folder in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    assert run_training(resolve(files, shorter), resume=True).steps == 2


def test_a_checkpoint_without_its_optimizer_is_not_resumed(files: dict[str, Any]) -> None:
    settings = (*SETTINGS, "save_only_model=true")
    run_training(resolve(files, settings))
    with pytest.raises(ResourceError, match="checkpoint-4 holds no optimizer"):
        run_training(resolve(files, settings), resume=True)


def test_a_run_shorter_than_its_logging_steps_still_has_metrics(
    files: dict[str, Any], tmp_path: Path
) -> None:
    result = run_training(resolve(files, (*SETTINGS, "logging_steps=10")))
    assert 0 < result.metrics["loss"] < 1
    assert "| rewards/margins |" in (tmp_path / "run" / "README.md").read_text()


def test_weights_that_are_cut_short_and_a_folder_that_can_not_be_made(
    files: dict[str, Any], tmp_path: Path
) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UsageError, match="can't load the model"):
        run_training(resolve(files, SETTINGS))
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="can't make the run directory"):
        run_training(resolve({**files, "output": str(tmp_path / "file" / "run")}, SETTINGS))


def randomised(model: Any) -> Any:
    """Give each part of a model's adapters random values."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.normal_(0, 0.3)
    return model


def with_lora(model: Any, name: str = "default", **settings: Any) -> Any:
    settings = {"r": 4, "target_modules": ["q_proj", "down_proj"], **settings}
    config = peft.LoraConfig(task_type="CAUSAL_LM", **settings)
    return peft.get_peft_model(model, config, adapter_name=name)


def test_every_bit_of_the_weights_counts() -> None:
    model = make_llama()
    digest = weights_digest(model)
    assert weights_digest(make_llama()) == digest
    draw = random.Random(0)
    for _, parameter in model.named_parameters():
        place = draw.randrange(parameter.numel())
        raw = parameter.data.view(torch.uint8).view(-1)
        before = raw[4 * place].clone()
        raw[4 * place] ^= 1  # the last bit of its mantissa
        assert weights_digest(model) != digest
        raw[4 * place] = before
    assert weights_digest(model) == digest
    model.register_buffer("table", torch.arange(3.0))
    buffered = weights_digest(model)
    assert buffered != digest
    model.table[1] = 7
    assert weights_digest(model) not in (digest, buffered)
    model.register_buffer("table", torch.arange(3.0), persistent=False)
    assert weights_digest(model) == digest


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8])
def test_dtypes_shapes_and_names_count(dtype: torch.dtype) -> None:
    module = nn.Module()
    module.weight = nn.Parameter(torch.arange(6).to(dtype), requires_grad=False)
    digests = {weights_digest(module)}
    for weight, name in (
        (torch.arange(6).to(dtype).view(2, 3), "weight"),
        (torch.arange(6).to(dtype).view(3, 2).T, "weight"),
        (torch.arange(6).to(dtype), "other"),
        (torch.arange(6).to(torch.float32), "weight"),
        (torch.zeros(0, dtype=dtype), "weight"),
        (torch.tensor(1, dtype=dtype), "weight"),
    ):
        module = nn.Module()
        setattr(module, name, nn.Parameter(weight, requires_grad=False))
        digests.add(weights_digest(module))
    assert len(digests) == 7


def test_what_acts_beside_the_weights_counts_and_what_does_not_does_not() -> None:
    digest = weights_digest(make_llama())
    turned = make_llama(rope_parameters={"rope_type": "default", "rope_theta": 20000.0})
    assert weights_digest(turned) != digest
    assert weights_digest(make_llama(rms_norm_eps=1e-5)) != digest
    model = make_llama()
    model.config.use_cache = False
    model.config.pad_token_id = 7
    model.config._name_or_path = "elsewhere"
    model.train()
    attach_logps(model)
    assert packing_of(model, True).form == "packed"
    assert weights_digest(model) == digest


def test_a_saved_model_and_tied_weights(tmp_path: Path) -> None:
    for tied in (False, True):
        model = make_llama(tie_word_embeddings=tied)
        model.save_pretrained(tmp_path / str(tied))
        again = AutoModelForCausalLM.from_pretrained(tmp_path / str(tied), dtype="float32")
        assert weights_digest(again) == weights_digest(model)
        half = AutoModelForCausalLM.from_pretrained(tmp_path / str(tied), dtype="bfloat16")
        assert weights_digest(half) not in (digests := {weights_digest(model)}), digests


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target_modules": "all-linear", "modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens", "lm_head"]},
        {"use_dora": True},
        {"trainable_token_indices": [1, 5]},
    ],
)
def test_adapters_do_not_count_and_have_a_digest_of_their_own(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    digest = weights_digest(make_llama())
    model = with_lora(make_llama(), **settings)
    assert weights_digest(model) == digest
    if "trainable_token_indices" not in settings:
        assert adapter_digest(model) == ""  # fresh: it adds nothing
    randomised(model)
    assert weights_digest(model) == digest
    adapter = adapter_digest(model)
    assert len(adapter) == 64
    model.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(make_llama(), tmp_path, adapter_name="another")
    assert weights_digest(again) == digest
    assert adapter_digest(again) == adapter
    scaled = peft.PeftConfig.from_pretrained(tmp_path)
    scaled.lora_alpha *= 2  # the same weights, twice as strong
    twice = peft.PeftModel.from_pretrained(make_llama(), tmp_path, config=scaled)
    assert adapter_digest(twice) not in ("", adapter)


def test_only_a_model_with_an_active_adapter_has_one() -> None:
    model = randomised(with_lora(make_llama()))
    first = adapter_digest(model)
    model.add_adapter("second", peft.LoraConfig(r=2, target_modules=["q_proj"]))
    assert adapter_digest(model) == first
    model.set_adapter("second")
    assert adapter_digest(model) == ""
    assert adapter_digest(make_llama()) == ""
    assert weights_digest(model) == weights_digest(make_llama())


def test_a_changed_copy_of_a_module_is_no_fresh_adapter() -> None:
    model = with_lora(make_llama(), modules_to_save=["lm_head"])
    assert adapter_digest(model) == ""
    with torch.no_grad():
        model.base_model.model.lm_head.modules_to_save["default"].weight[3, 3] += 1
    assert adapter_digest(model) != ""


def test_weights_with_a_merged_adapter_and_without_memory_are_refused() -> None:
    model = randomised(with_lora(make_llama()))
    model.merge_adapter()
    with pytest.raises(UsageError, match="merged into the base weights"):
        weights_digest(model)
    merged = randomised(with_lora(make_llama())).merge_and_unload()
    assert weights_digest(merged) != weights_digest(make_llama())
    with pytest.raises(UsageError, match="device meta"):
        weights_digest(make_llama().to("meta"))


def test_what_quantised_weights_have_beside_them_counts() -> None:
    """Codes that are the same with other scales are other weights."""

    class State:
        def __init__(self, scale: float) -> None:
            self.scale = torch.tensor([scale])

        def as_dict(self, packed: bool) -> dict[str, torch.Tensor]:
            assert packed
            return {"absmax": self.scale}

    def quantised(scale: float) -> nn.Module:
        module = nn.Module()
        module.weight = nn.Parameter(torch.arange(8, dtype=torch.uint8), requires_grad=False)
        module.weight.quant_state = State(scale)
        return module

    assert weights_digest(quantised(1.0)) == weights_digest(quantised(1.0))
    assert weights_digest(quantised(1.0)) != weights_digest(quantised(2.0))


def test_another_reference_or_adapter_is_not_resumed_with(tmp_path: Path) -> None:
    now = {"data_sha256": "d", "weights_sha256": "w", "adapter_sha256": "a"}
    (tmp_path / "run.json").write_text(json.dumps(now))
    check_same_inputs(tmp_path, now)
    with pytest.raises(UsageError, match="the adapter's weights changed"):
        check_same_inputs(tmp_path, {**now, "adapter_sha256": "b"})
    with pytest.raises(UsageError, match="the reference changed"):
        check_same_inputs(tmp_path, {**now, "reference_sha256": "r"})


def test_a_run_goes_on_in_as_many_processes(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"processes": 2}))
    check_same_inputs(tmp_path, {"processes": 2})
    with pytest.raises(UsageError, match="another number of processes: 2 then, 1 now"):
        check_same_inputs(tmp_path, {"processes": 1})
    (tmp_path / "run.json").write_text("{}")  # of a run before this was written down
    check_same_inputs(tmp_path, {"processes": 1})


def test_a_run_says_in_how_many_processes_it_was_started(
    model_folder: Path, tmp_path: Path
) -> None:
    write(tmp_path / "pairs.jsonl")
    flags = {
        "model": str(model_folder),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"),
    }
    run_training(resolve(flags, (*SETTINGS, "max_steps=2")))
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["processes"] == 1
    facts["processes"] = 2
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="2 then, 1 now"):
        run_training(resolve(flags, (*SETTINGS, "max_steps=2")), resume=True)
