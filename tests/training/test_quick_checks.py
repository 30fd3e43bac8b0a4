"""What is told of a training run before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clairkit.choices import LOSS_ALIASES, LOSS_NAMES
from clairkit.cli.main import run
from clairkit.errors import ClairError
from clairkit.training.quick_checks import KEYS, check_quickly

ROW = '{"prompt": "a", "chosen": "b", "rejected": "c"}\n'


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "pairs.jsonl"
    path.write_text(ROW)
    return str(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"settings": ["lr=1e-5"]}, "did you mean learning_rate|Did you mean learning_rate"),
        ({"file": "{epochs: 3}"}, "num_train_epochs"),
        ({"flags": {"pairs": "none.jsonl"}}, "no such file"),
        ({"flags": {"model": "./none"}}, "no such folder"),
        ({"rows": '{"prompt": "a", "expected": "b"}\n'}, "build-pairs"),
        ({"rows": '{"question": "a b", "chosen": "b", "rejected": "c"}\n'}, "--prompt-column"),
    ],
)
def test_what_is_certainly_wrong_is_told(
    tmp_path: Path, pairs: str, model_folder: Path, more: dict[str, object], message: str
) -> None:
    flags = {"pairs": pairs, "model": str(model_folder), "output": None, **more.get("flags", {})}  # type: ignore[dict-item]
    if "rows" in more:
        Path(pairs).write_text(str(more["rows"]))
    file = tmp_path / "train.yaml"
    file.write_text(str(more.get("file", "{}")))
    with pytest.raises(ClairError, match=message):
        check_quickly(flags, more.get("settings", ()), str(file))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        (ROW, {}),
        ('{"prompt": "a", "chosen": "b"}\n', {}),
        ('{"question": "a b", "chosen": "b", "rejected": "c"}\n', {"prompt_column": "question"}),
        ("garbage\n" + ROW, {"skip_bad": True}),
        (ROW, {"pairs": "org/name"}),
    ],
)
def test_what_may_be_right_passes(
    pairs: str, model_folder: Path, rows: str, more: dict[str, object]
) -> None:
    Path(pairs).write_text(rows)
    check_quickly({"pairs": pairs, "model": str(model_folder), **more}, ["max_steps", "x={"], None)


def test_the_losses_are_those_there_are() -> None:
    for name in (*LOSS_NAMES, *LOSS_ALIASES, "apo-zero", "apo_zero+0.1*sft", "1e-1*sft"):
        check_quickly({"loss": name}, (), None)
    with pytest.raises(ClairError, match="Did you mean 'apo_zero'"):
        check_quickly({"loss": "apo-zer"}, (), None)


def test_the_keys_are_there() -> None:
    from transformers import TrainingArguments

    from clairkit.training.config import TrainConfig

    known = set(TrainConfig.__dataclass_fields__) | set(TrainingArguments.__dataclass_fields__)
    assert set(KEYS.values()) <= known
    assert {key for key in KEYS if key in known and KEYS[key] != key} == {"output_dir"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--lr", "Use --set learning_rate=VALUE"),
        ("--batch-size", "Use --set per_device_train_batch_size=VALUE"),
        ("--dataset", "Use --pairs VALUE"),
        ("--lora", "Use --use-peft"),
        ("--losss", "--loss"),
    ],
)
def test_an_option_of_another_trainer_is_translated(
    option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", option, "1"]) == 2
    assert said in capsys.readouterr().err


def test_the_checks_import_nothing_heavy() -> None:
    code = (
        "import sys; from clairkit.training.quick_checks import check_quickly; "
        "heavy = {'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
