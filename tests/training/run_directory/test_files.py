"""What may differ when a run is resumed, what is noted of it, and metrics after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from clairkit.errors import UsageError
from clairkit.training.config import TrainConfig
from clairkit.training.config_sources import Resolved, resolve
from clairkit.training.run_directory.files import (
    CONFIG,
    METRICS,
    RUN,
    changes_of,
    check_allowed,
    check_same_run,
    config_text,
    note_changes,
    trim_metrics,
    with_defaults_of_then,
)
from clairkit.training.run_directory.folder import model_card

GIVEN = {"model": "m", "pairs": "p", "output": "run"}


def resolved(*settings: str, **flags: Any) -> Resolved:
    return resolve({**GIVEN, **flags}, settings)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / CONFIG).write_text(config_text(resolved("max_steps=4")))
    (tmp_path / RUN).write_text('{"data_sha256": "d"}')
    return tmp_path


def edited(run: Path, lines: dict[str, str | None]) -> None:
    """Put lines in place of those of keys, or take these out."""
    text = (run / CONFIG).read_text().splitlines()
    kept = [lines.get(line.partition(":")[0], line) for line in text]
    (run / CONFIG).write_text("\n".join(line for line in kept if line is not None) + "\n")


def test_a_run_goes_on_with_the_defaults_that_it_began_with(tmp_path: Path) -> None:
    given = ("eval_strategy=steps", "adapter=a", "max_steps=4")
    now = resolved(*given)
    (tmp_path / CONFIG).write_text(config_text(now))
    then = {
        "logging_steps": "logging_steps: 10  # default",
        "ref": "ref: base  # default",
        "learning_rate": "learning_rate: 1.0e-06  # default",
        "eval_steps": None,
    }
    edited(tmp_path, then)

    kept = with_defaults_of_then(now, tmp_path)

    assert check_same_run(kept.config, tmp_path) == []
    assert kept.config.ref == "base"
    arguments = kept.config.arguments
    assert (arguments["logging_steps"], arguments["learning_rate"]) == (10, 1e-6)
    assert arguments["eval_steps"] is None  # transformers' default: logging_steps
    assert kept.origins["logging_steps"] == "default, from the run that is resumed"


def test_values_that_were_given_then_or_now_are_compared_still(run: Path) -> None:
    frozen = resolved("max_steps=4", "freeze=[lm_head*]", "learning_rate=1e-4", "beta=0.5")
    (run / CONFIG).write_text(config_text(frozen))
    now = resolved("max_steps=4", "logging_steps=3")
    with pytest.raises(UsageError) as caught:
        check_same_run(with_defaults_of_then(now, run).config, run)
    for key in ("freeze", "learning_rate", "beta", "logging_steps"):
        assert f"{key}: " in str(caught.value)


CHANGES = {
    "learning_rate": 2e-6,
    "seed": 1,
    "per_device_train_batch_size": 3,
    "pairs": "other",
    "model": "other",
    "loss": "sigmoid",
    "tokens_per_step": None,
    "ref": "adapter:a",
    "max_steps": 5,
    "weight_decay": 0.5,
}


@pytest.mark.parametrize(("key", "value"), CHANGES.items())
def test_another_value_is_refused_unless_allowed_by_name(run: Path, key: str, value: Any) -> None:
    if key in GIVEN:
        now = resolved("max_steps=4", **{key: value}).config
    else:
        now = resolved("max_steps=4", f"{key}={json.dumps(value)}").config
    line = rf"{key}: .* then, {value!r} now"
    with pytest.raises(UsageError, match=rf"{line}\. .*--allow-change KEY"):
        check_same_run(now, run)
    with pytest.raises(UsageError, match=line):
        check_same_run(now, run, ["beta"])
    (allowed,) = check_same_run(now, run, [key])
    assert allowed.startswith(f"{key}: ")


def test_every_difference_is_shown_but_those_allowed(run: Path) -> None:
    now = resolved("max_steps=5", "seed=1", "loss=sigmoid").config
    with pytest.raises(UsageError) as caught:
        check_same_run(now, run, ["seed"])
    assert "loss: 'apo_zero' then, 'sigmoid' now; max_steps: 4 then, 5 now" in str(caught.value)
    assert "seed: " not in str(caught.value)
    lines = check_same_run(now, run, ["seed", "loss", "max_steps"])
    assert any("max_steps: 4 then, 5 now (from here on the learning rate" in line for line in lines)


def test_a_key_that_did_not_exist_then_had_its_default(run: Path) -> None:
    saved = yaml.safe_load((run / CONFIG).read_text())
    for key in ("tokens_per_step", "loss_mask", "freeze", "learning_rate"):
        del saved[key]
    (run / CONFIG).write_text(yaml.safe_dump(saved))
    assert check_same_run(resolved("max_steps=4").config, run) == []
    with pytest.raises(UsageError, match="loss_mask: 'all' then, 'edits' now"):
        check_same_run(resolved("max_steps=4", "loss_mask=edits").config, run)


def test_a_run_directory_may_be_moved(run: Path) -> None:
    assert check_same_run(resolved("max_steps=4", output=str(run)).config, run) == []


def test_an_unknown_key_and_a_run_that_is_not_resumed(run: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown .*'learning_rat'.*mean learning_rate\?"):
        check_same_run(resolved("max_steps=4").config, run, ["learning_rat"])
    with pytest.raises(UsageError, match="--allow-change is for --resume"):
        check_allowed(["seed"], resume=False)
    check_allowed([], resume=False)


def test_changes_are_noted_and_count_from_then_on(run: Path) -> None:
    for step, value in ((2, 6), (4, 8)):
        now = resolved(f"max_steps={value}")
        changes = check_same_run(now.config, run, ["max_steps"])
        note_changes(run, now, step, changes)
        assert check_same_run(now.config, run) == []
    assert json.loads((run / RUN).read_text())["data_sha256"] == "d"
    assert [change["after_step"] for change in changes_of(run)] == [2, 4]
    assert changes_of(run)[1]["what"][0].startswith("max_steps: 6 then, 8 now")


def test_rows_after_the_checkpoint_and_torn_ones_go(run: Path) -> None:
    rows = [
        b'{"step": 1, "loss": 1.0}',
        b'{"step": 1, "train_runtime": 2.0}',
        b'{"step": 2, "l',
        b"\xff\xfe\x00",
        b"[1]",
        b"7",
        b'{"loss": 1.0}',
        b'{"step": "2"}',
        b'{"step": 2, "loss": 0.5}',
        b'{"step": 3, "loss": 0.4}',
        b'{"st',
    ]
    (run / METRICS).write_bytes(b"\n".join(rows))
    trim_metrics(run, 2)
    assert (run / METRICS).read_bytes() == rows[0] + b"\n" + rows[8] + b"\n"
    (run / METRICS).unlink()
    trim_metrics(run, 2)
    assert (run / METRICS).read_bytes() == b""


def test_trimming_is_done_in_one_step(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / METRICS).write_text('{"step": 1}\n{"step": 2}\n')

    def killed(*_args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        trim_metrics(run, 1)
    assert (run / METRICS).read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize("adapter", [None, "runs/a"])
def test_the_card_names_the_adapter_that_was_gone_on_with(adapter: str | None) -> None:
    config = TrainConfig(model="base", pairs="p.jsonl", output="o", adapter=adapter)
    facts = {
        "pairs": 3,
        "steps": 2,
        "learning_rate": 1e-6,
        "reference": "the reference",
        "form": "packed",
        "kernel": "native",
        "metrics": {},
        "diagnosis": {"headline": "It learnt.", "findings": []},
    }
    text = model_card(config, facts)
    assert ("with the adapter `runs/a`" in text) == (adapter is not None)
    assert ("library_name: peft" in text) == (adapter is not None)
