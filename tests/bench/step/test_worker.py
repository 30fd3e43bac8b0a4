"""A step at a time: that all variants compute the same, and that mistakes are seen."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clairkit.bench.measure.timing import Peak
from clairkit.bench.step import plain_step
from clairkit.bench.step.cases import PairLengths, StepCase
from clairkit.bench.step.plain_step import PlainTrainer
from clairkit.bench.step.suite import checked
from clairkit.bench.step.trainers import (
    FORMS,
    TRL,
    Settings,
    build_model,
    make_trainer,
    random_tokens,
    training_arguments,
)
from clairkit.bench.step.worker import Gate, StepReport

CASE = StepCase("t", 97, 64, 1, (PairLengths(5, 7, 4), PairLengths(3, 2, 9)), learning_rate=1e-3)
SETTINGS = Settings("cpu", 1, rounds=2)
WISHES = ("time", "gradients")


class Stopped(Exception):
    """No more wishes."""


class Wishes:
    """Stands in for the connection to the process that measures."""

    def __init__(self, wishes: tuple[str, ...]) -> None:
        self.wishes = list(wishes)
        self.reports: list[StepReport] = []

    def recv(self) -> tuple[str, tuple[str]]:
        if not self.wishes:
            raise Stopped
        return "step", (self.wishes.pop(0),)

    def send(self, outcome: Any) -> None:
        if outcome.value is not None:
            self.reports.append(outcome.value)


def taken(trainer: Any, wishes: tuple[str, ...] = WISHES) -> list[StepReport]:
    """Return the reports of a step for each wish."""
    connection: Any = Wishes(wishes)
    trainer.add_callback(Gate(connection, torch.device("cpu")))
    with pytest.raises(Stopped):
        trainer.train()
    reports: list[StepReport] = connection.reports
    return reports


@pytest.fixture
def steps(tmp_path: Path) -> Callable[..., list[StepReport]]:
    """Return a function that takes a variant's steps."""

    def take(variant: str, case: StepCase = CASE, *wishes: str) -> list[StepReport]:
        trainer = make_trainer(variant, case, SETTINGS, str(tmp_path / variant))
        return taken(trainer, wishes or WISHES)

    return take


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"loss": "sigmoid", "head": "frozen"}, {"dtype": "bfloat16", "tied": True}],
    ids=["apo_zero", "sigmoid, frozen", "bfloat16, tied"],
)
def test_all_variants_compute_the_plain_step(
    steps: Callable[..., list[StepReport]], changes: dict[str, Any]
) -> None:
    case = replace(CASE, **changes)
    base = steps("plain", case)
    assert abs(base[-1].logs["loss"] - base[0].logs["loss"]) > 1e-3
    for variant in ("plain trimmed", *FORMS, "clairkit eager"):
        found = checked(variant, case, steps(variant, case), base)
        assert (found.status, found.problem) == ("ok", ""), variant


@pytest.mark.parametrize("loss", ["apo_zero", "sigmoid"])
def test_trl_computes_the_plain_step(steps: Callable[..., list[StepReport]], loss: Any) -> None:
    pytest.importorskip("trl", reason="the [trl] extra is not installed")
    case = replace(CASE, loss=loss)
    base = steps("plain", case)
    for variant in TRL:
        found = checked(variant, case, steps(variant, case), base)
        assert (found.status, found.problem) == ("ok", ""), variant


def test_what_a_report_holds(steps: Callable[..., list[StepReport]]) -> None:
    timed, compared, measured = steps("plain", CASE, "time", "gradients", "memory")
    assert all(report.seconds > 0 for report in (timed, compared, measured))
    assert (timed.memory, timed.gradients) == (None, {})
    parameters = dict(build_model(CASE, torch.device("cpu")).named_parameters())
    assert compared.gradients.keys() == parameters.keys()
    assert compared.gradient_bytes == sum(weight.nbytes for weight in parameters.values())
    assert isinstance(measured.memory, Peak)


class Wrong(PlainTrainer):
    """The plain trainer with one mistake planted."""

    mistake = ""

    def compute_loss(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        labels = inputs["labels"]
        if self.mistake == "beta":
            self.beta = 1.05 * CASE.beta
        elif self.mistake == "one token missing":
            labels[0, (labels[0] >= 0).nonzero()[-1]] = -1
        elif self.mistake == "a prompt token counted":
            labels[0, 0] = inputs["input_ids"][0, 1]
        elif self.mistake == "targets not shifted":
            inputs["labels"] = labels.roll(1, 1)
        elif self.mistake == "sides swapped":
            inputs["reference"] = inputs["reference"].roll(2)
        elif self.mistake == "another loss":
            self.loss_name = "sigmoid"
        return super().compute_loss(model, inputs, *rest, **named)


MISTAKES = [
    "beta",
    "one token missing",
    "a prompt token counted",
    "targets not shifted",
    "sides swapped",
    "another loss",
]


@pytest.mark.parametrize("mistake", ["", *MISTAKES])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_planted_mistake_is_seen(
    steps: Callable[..., list[StepReport]], tmp_path: Path, mistake: str, dtype: Any
) -> None:
    case = replace(CASE, dtype=dtype)
    arguments = training_arguments(case, SETTINGS, str(tmp_path))
    wrong = Wrong(
        build_model(case, torch.device("cpu")),
        random_tokens(case),
        loss=case.loss,
        beta=case.beta,
        trimmed=False,
        arguments=arguments,
    )
    wrong.mistake = mistake
    found = checked("x", case, taken(wrong), steps("plain", case))
    assert found.status == ("PARITY FAILED" if mistake else "ok")
    assert bool(found.problem) == bool(mistake)


def test_steps_that_hardly_move_prove_nothing(steps: Callable[..., list[StepReport]]) -> None:
    case = replace(CASE, learning_rate=0.0)
    reports = steps("plain", case)
    found = checked("x", case, reports, reports)
    assert found.status == "PARITY FAILED"
    assert "too little" in found.problem


def test_the_plain_step_imports_nothing_of_clairkit() -> None:
    names = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(inspect.getsource(plain_step)))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {(name or "").split(".")[0] for name in names} <= {
        "torch",
        "transformers",
        "typing",
        "collections",
        "__future__",
    }
