"""What a run writes names no folder of the machine, and its card is one for the Hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from huggingface_hub.utils import validate_repo_id
from some_pairs import some_pairs
from tiny import make_llama, make_tokenizer

from clairkit.records import write_pairs
from clairkit.training import resolve, run_training
from clairkit.training.reference.spec import parse_ref
from clairkit.training.run_directory.portable import (
    hub_id,
    portable,
    portable_command,
)

SNAPSHOT = "/home/me/.cache/huggingface/hub/models--org--some-model/snapshots/0123abcd"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/me/models/mine", "mine"),
        ("/home/me/models/mine/", "mine"),
        ("~/mine", "mine"),
        ("org/model", "org/model"),
        ("models/mine", "models/mine"),
        ("../pairs.jsonl",) * 2,
        (SNAPSHOT, "org/some-model"),
        ("", ""),
        ("/", "/"),
        ("apo_zero", "apo_zero"),
    ],
)
def test_names(name: str, shown: str) -> None:
    assert portable(name) == shown


def test_specs_and_commands() -> None:
    assert parse_ref("model:/a/b").portable == "model:b"
    assert parse_ref("cache:~/x.safetensors").portable == "cache:x.safetensors"
    assert parse_ref("start").portable == "start"
    words = [
        "/usr/bin/clairkit",
        "train",
        "--model",
        "/a/m",
        "--pairs=/a/p.jsonl",
        "--set",
        "deepspeed=/etc/z.json",
        "--ref",
        "adapter:/a/b",
        "hf:/a/m",
        "org/m",
        "1/2",
        "https://host/x",
    ]
    assert portable_command(words) == [
        "clairkit",
        "train",
        "--model",
        "m",
        "--pairs=p.jsonl",
        "--set",
        "deepspeed=z.json",
        "--ref",
        "adapter:b",
        "hf:m",
        "org/m",
        "1/2",
        "https://host/x",
    ]


def test_the_id_of_a_model(tmp_path: Path) -> None:
    assert hub_id("org/model") == "org/model"
    assert hub_id("gpt2") == "gpt2"
    assert hub_id(SNAPSHOT) == "org/some-model"
    assert hub_id("no id: at all") is None
    folder = tmp_path / "m"
    folder.mkdir()
    assert hub_id(str(folder)) is None
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "org/of-the-folder"}))
    assert hub_id(str(folder)) == "org/of-the-folder"
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "/home/me/m"}))
    assert hub_id(str(folder)) is None


@pytest.mark.parametrize("adapter", [False, True])
def test_a_run_of_absolute_paths_names_none_and_resumes_elsewhere(
    tmp_path: Path, adapter: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "secret-place", tmp_path / "other"
    model, other = here / "model", here / "reference"
    for folder, seed in ((model, 0), (other, 1)):
        make_llama(seed=seed).save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
    write_pairs(here / "pairs.jsonl", some_pairs(6))
    monkeypatch.setattr(sys, "argv", ["clairkit", "train", "--model", str(model)])
    settings = ["use_cpu=true", "max_steps=2", "save_steps=1", f"use_peft={str(adapter).lower()}"]

    def given(place: Path) -> dict[str, str]:
        return {
            "model": str(place / "model"),
            "pairs": str(place / "pairs.jsonl"),
            "output": str(place / "run"),
            "ref": f"model:{place / 'reference'}",
        }

    run_training(resolve(given(here), settings))
    run = here / "run"
    for name in ("README.md", "config.yaml", "run.json", "training.html", "metrics.jsonl"):
        assert "secret-place" not in (run / name).read_text(), name
        assert str(tmp_path) not in (run / name).read_text(), name
    assert "model: model  # flag" in (run / "config.yaml").read_text()
    here.rename(there)
    (there / "run" / "checkpoint-2").rename(there / "aside")
    assert run_training(resolve(given(there), settings), resume=True).steps == 2


@pytest.mark.parametrize("loss", ["apo_zero", "apo_zero+0.1*sft"])
@pytest.mark.parametrize("known", [False, True])
def test_the_card_is_one_for_the_hub(tmp_path: Path, known: bool, loss: str) -> None:
    model = tmp_path / "model"
    make_llama().save_pretrained(model)
    make_tokenizer().save_pretrained(model)
    if known:
        settings = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**settings, "_name_or_path": "org/base"}))
    write_pairs(tmp_path / "pairs.jsonl", some_pairs(4))
    files = {
        "model": str(model),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"),
        "loss": loss,
    }
    run_training(resolve(files, ["use_cpu=true", "max_steps=1", "save_strategy=no"]))
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert metadata_load(tmp_path / "run" / "README.md") == data.to_dict()
    assert (data.base_model == "org/base") == known
    if known:
        validate_repo_id(data.base_model)
        assert json.loads((tmp_path / "run" / "run.json").read_text())["model"] == "org/base"
    assert data.library_name == "transformers"
    assert {"clairkit", "preference-optimization", "apo_zero"} <= set(data.tags)
