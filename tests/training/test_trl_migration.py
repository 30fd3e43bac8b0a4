"""docs/trl_migration.md against the installed TRL: every key has its row, every target exists."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import transformers
import yaml

from clairkit.training import TrainConfig, resolve
from clairkit.training.arguments.defaults import argument_defaults

trl = pytest.importorskip("trl", reason="the [trl] extra is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "trl_migration.md"


def fields(cls: type) -> dict[str, object]:
    return {field.name: field.default for field in dataclasses.fields(cls)}


def rows() -> dict[str, str]:
    """By TRL's key, what stands in the column of clairkit's; the key tables alone."""
    text = PAGE.read_text(encoding="utf-8")
    tables = text[text.index("### DPOConfig") : text.index("### DPOTrainer's arguments")]
    found: dict[str, str] = {}
    for line in re.findall(r"^\| `.*$", tables, re.MULTILINE):
        theirs, ours = (cell.strip() for cell in line.split("|")[1:3])
        for name in re.findall(r"`(\w+)`", theirs):
            assert name not in found, f"{name} has two rows"
            found[name] = ours
    return found


ROWS = rows()
ARGUMENTS = fields(transformers.TrainingArguments)


@pytest.mark.parametrize(
    "cls", ["DPOConfig", "ModelConfig", "ScriptArguments", "DatasetMixtureConfig"]
)
def test_every_key_of_trls_has_a_row(cls: str) -> None:
    assert fields(getattr(trl, cls)).keys() - ARGUMENTS.keys() <= ROWS.keys()


def test_every_changed_default_has_a_row() -> None:
    changed = {
        name
        for name, default in fields(trl.DPOConfig).items()
        if name in ARGUMENTS and default != ARGUMENTS[name]
    }
    assert {"bf16", "gradient_checkpointing"} < changed
    assert changed <= ROWS.keys()


def test_every_row_is_a_key_of_trls() -> None:
    classes = (trl.DPOConfig, trl.ModelConfig, trl.ScriptArguments, trl.DatasetMixtureConfig)
    assert ROWS.keys() <= {name for cls in classes for name in fields(cls)}


def test_every_target_is_a_key_of_clairkits() -> None:
    known = fields(TrainConfig).keys() | argument_defaults().keys()
    for theirs, ours in ROWS.items():
        if ours != "-":
            assert ours.strip("`") in known, theirs


def test_a_key_of_the_same_name_is_not_called_missing() -> None:
    missing = {theirs for theirs, ours in ROWS.items() if ours == "-"}
    assert not missing & fields(TrainConfig).keys()


def test_defaults_that_are_called_equal_are() -> None:
    ours = {**fields(TrainConfig), **argument_defaults()}
    theirs = {**fields(trl.ModelConfig), **fields(trl.DPOConfig)}
    for name in ("beta", "max_length", "learning_rate", "dtype", "lora_r", "lora_alpha"):
        assert ours[name] == theirs[name], name
    assert (theirs["logging_steps"], ours["logging_steps"]) == (10, 0.02)
    assert (theirs["lora_dropout"], ours["lora_dropout"]) == (0.05, 0.0)
    assert theirs["gradient_checkpointing"]
    assert not ours["gradient_checkpointing"]


def test_the_files_on_the_page_are_configurations() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    resolved = resolve({**yaml.safe_load(example), "output": "run"})
    assert (resolved.config.loss, resolved.config.truncation) == ("apo_zero", "keep_start")
    assert resolved.config.arguments["learning_rate"] == 1e-5
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(code, "page", "exec")
