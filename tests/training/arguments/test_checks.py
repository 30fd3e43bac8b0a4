"""Settings that transformers refuses: each named, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import run
from clairkit.errors import RemoteError, UsageError
from clairkit.training import TrainConfig, resolve
from clairkit.training.arguments.checks import check_hub_login, setting_errors
from clairkit.training.preflight import check_early
from clairkit.training.preparation import training_arguments
from clairkit.training.run_directory.files import config_text

GIVEN = {"model": "m", "pairs": "p", "output": "o"}


def early(*settings: str) -> None:
    check_early(resolve(GIVEN, ["use_cpu=true", *settings]).config)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rate=-1", "learning_rate must be at least 0: received -1"),
        ("learning_rate=.nan", "learning_rate must be a finite number"),
        ("learning_rate=.inf", "learning_rate must be a finite number"),
        ("weight_decay=-.inf", "weight_decay must be a finite number"),
        ("num_train_epochs=0", "num_train_epochs must be above 0"),
        ("max_steps=0", "max_steps must be at least 1"),
        ("max_steps=-2", "max_steps must be at least 1"),
        ("max_grad_norm=-1", "max_grad_norm must be at least 0"),
        ("warmup_steps=-1", "warmup_steps must be at least 0"),
        ("adam_beta2=1", r"adam_beta2 must lie in \[0, 1\)"),
        ("logging_steps=0", "logging_steps must be above 0"),
        ("save_total_limit=0", "save_total_limit must be above 0"),
        ("dataloader_num_workers=-1", "dataloader_num_workers must be at least 0"),
        ("report_to=nosuch", "report_to names no tracker: received 'nosuch'"),
        ("report_to=tensorbord", r"Did you mean tensorboard\?"),
        ("lr_scheduler_type=nosuch", "received \"lr_scheduler_type='nosuch'\""),
        ("lr_scheduler_type=cosine_with_min_lr", 'received "lr_scheduler_type='),
        ("lr_scheduler_kwargs={nosuch: 1}", 'received "lr_scheduler_kwargs='),
        ("optim=nosuch", "received \"optim='nosuch'\""),
        ("optim_args=x", "received \"optim_args='x'\""),
        ("deepspeed=/nowhere.json", "received \"deepspeed='/nowhere.json'\""),
        ("accelerator_config={nosuch: 1}", 'received "accelerator_config='),
        ("tf32=true", "received 'tf32=True'"),
        ("fp16=true", "float16 products need a GPU"),
        ("save_steps=1.5", "received 'save_steps=1.5'"),
        ("hub_strategy=x", "received \"hub_strategy='x'\""),
    ],
)
def test_a_value_that_no_run_can_have_is_named(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        early(setting)


def test_what_is_right_passes() -> None:
    early("lr_scheduler_type=cosine_with_min_lr", "lr_scheduler_kwargs={min_lr_rate: 0.1}")
    early("optim=sgd", "optim_args=momentum=0.9")
    early("report_to=none", "learning_rate=0", "max_steps=-1", "optim=adafactor")


def test_a_tracker_without_its_package_comes_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise RuntimeError("it requires wandb")

    monkeypatch.setattr(
        "clairkit.training.arguments.checks.INTEGRATION_TO_CALLBACK", {"wandb": missing}
    )
    with pytest.raises(UsageError, match=r"Run pip install wandb, or set report_to: none"):
        early("report_to=wandb")


def test_two_faults_that_only_go_together_are_told_without_a_name() -> None:
    with pytest.raises(UsageError, match="a training argument was refused"):
        early("hub_strategy=x", "optim=nosuch")


def test_push_to_hub_without_a_login_ends_before_the_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import huggingface_hub

    def whoami(_self: Any, token: str | None = None) -> None:
        raise huggingface_hub.errors.OfflineModeIsEnabled("offline mode is enabled")

    monkeypatch.setattr("huggingface_hub.HfApi.whoami", whoami)
    with pytest.raises(RemoteError, match=r"offline mode is enabled.*Run hf auth login"):
        early("push_to_hub=true")
    check_hub_login(training_arguments(TrainConfig(**GIVEN, arguments={"use_cpu": True})))


def test_what_is_refused_while_the_trainer_is_set_up_is_no_bug() -> None:
    with pytest.raises(UsageError, match="was refused: needs apex"), setting_errors():
        raise ImportError("needs\n apex")


def test_a_token_of_the_hub_is_written_nowhere() -> None:
    resolved = resolve(GIVEN, ["hub_token=hf_secret"])
    assert "hf_secret" not in config_text(resolved)
    assert "hub_token" not in resolved.config.to_dict()
    assert training_arguments(resolved.config).hub_token == "hf_secret"


def test_names_that_are_no_text(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "a\udcff.yaml"
    file.write_text("beta: 0.2\n")
    assert "a\\udcff.yaml" in config_text(resolve(GIVEN, (), str(file)))
    for key in ("model", "pairs", "output", "adapter"):
        with pytest.raises(UsageError, match="is no text"):
            resolve({"model": "m", "pairs": "p", "output": "o", key: "x\udcff"})
    code = run(["train", "--model", "m", "--pairs", "x\udcff", "--output", "o"])
    assert code == 3
    assert "x\\udcff: no such file" in capfd.readouterr().err
