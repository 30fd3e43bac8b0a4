"""The comparison that stands before every time: what passes, and what must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.bench import step_worker
from clairkit.bench.cases import PairLengths, StepCase
from clairkit.bench.models import build_model, drift, random_tokens, sharing_copy
from clairkit.bench.parity import TOLERANCES, StepResult, compare
from clairkit.bench.results import CaseResult, VariantResult
from clairkit.bench.step_worker import Settings, check_and_time, make_step, measure_times

CASE = StepCase("t", 97, 64, 1, (PairLengths(5, 7, 4), PairLengths(3, 2, 9)))
SETTINGS = Settings("cpu", 1, rounds=2)
OURS = ("clairkit native", "clairkit torch", "clairkit eager")
EXACT = TOLERANCES["float32"]


def result(loss: float = 1.0, **gradients: list[float]) -> StepResult:
    tensors = {name: torch.tensor(values) for name, values in gradients.items()}
    return StepResult(loss, torch.tensor([-8.0, -9.0]), tensors)


PLAIN = result(a=[3.0, 4.0], b=[1.0])
TOKENS = torch.tensor([2, 4])


def test_equal_steps_pass() -> None:
    parity = compare(PLAIN, PLAIN, TOKENS, EXACT)
    assert parity.passed
    assert (parity.loss, parity.nats_per_token, parity.gradient, parity.gradient_norm) == (0,) * 4


def test_gaps_are_what_they_say() -> None:
    other = replace(result(1.5, a=[3.0, 4.5], b=[1.0]), logps=torch.tensor([-8.0, -9.2]))
    parity = compare(other, PLAIN, TOKENS, EXACT)
    assert parity.loss == 0.5
    assert parity.nats_per_token == pytest.approx(0.2 / 4, rel=1e-5)
    assert parity.gradient == pytest.approx(0.5 / 5)
    assert parity.worst_parameter == "a"
    assert parity.gradient_norm == pytest.approx(abs(30.25**0.5 - 26**0.5) / 26**0.5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (result(1.001, a=[3.0, 4.0], b=[1.0]), "losses differ"),
        (result(float("nan"), a=[3.0, 4.0], b=[1.0]), "losses differ"),
        (result(a=[3.0, 4.0], b=[1.1]), "gradient norms differ"),
        (result(a=[4.0, 3.0], b=[1.0]), "the gradient of a differs"),
        (result(a=[3.0, float("nan")], b=[1.0]), "differ"),
        (result(a=[3.0, 4.0]), "only one of both has a gradient of b"),
        (replace(PLAIN, logps=torch.tensor([-8.0, -8.9])), "log-probs differ"),
    ],
)
def test_what_must_fail(wrong: StepResult, said: str) -> None:
    parity = compare(wrong, PLAIN, TOKENS, EXACT)
    assert not parity.passed
    assert said in parity.problem


def test_a_plain_step_without_gradient_proves_nothing() -> None:
    nothing = result(a=[0.0, 0.0])
    assert not compare(nothing, nothing, TOKENS, EXACT).passed


def steps_for(case: StepCase, *names: str) -> tuple[dict[str, Any], Any]:
    model = build_model(case, torch.device("cpu"))
    steps = {name: make_step(name, sharing_copy(model), random_tokens(case), case)
             for name in ("plain", *names)}  # fmt: skip
    for step in steps.values():
        step.cache_reference()
    drift(model, 1)
    return steps, model


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("head", ["full", "frozen"])
@pytest.mark.parametrize("loss", ["apo_zero", "sigmoid"])
def test_all_variants_compute_the_plain_step(dtype: Any, head: Any, loss: Any) -> None:
    case = replace(CASE, dtype=dtype, head=head, loss=loss, tied=True)
    found = measure_times(case, ("plain", "plain trimmed", *OURS), SETTINGS)
    assert {name: entry.problem for name, entry in found.items() if entry.status != "ok"} == {}
    assert all(len(entry.seconds) == 2 for entry in found.values())


def test_policy_and_reference_differ_so_that_the_loss_is_not_its_constant() -> None:
    steps, _ = steps_for(CASE)
    loss, logps = steps["plain"].run()
    assert abs(float(loss) - 1) > 1e-3
    assert float((logps - steps["plain"].reference).abs().min()) > 1e-3


class Wrong:
    """A clairkit step with one mistake planted."""

    def __init__(self, step: Any, mistake: str) -> None:
        self.step = step
        if mistake == "beta":
            step.beta *= 1.05
        elif mistake == "one token missing":
            row = step.batch["targets"][0]
            row[(row >= 0).nonzero()[-1]] = -100
        elif mistake == "a prompt token counted":
            step.batch["targets"][0, 0] = step.batch["input_ids"][0, 1]
        elif mistake == "targets not shifted":
            step.batch["targets"] = step.batch["targets"].roll(1, 1)
        elif mistake == "sides swapped":
            step.reference = step.reference.flip(0)
        elif mistake == "another loss":
            step.loss = "bco_pair"

    def run(self) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.step.run()
        return found


MISTAKES = ["beta", "one token missing", "a prompt token counted", "targets not shifted",
            "sides swapped", "another loss"]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_planted_mistake_gets_no_time_and_no_ratio(mistake: str, dtype: Any) -> None:
    case = replace(CASE, dtype=dtype)
    steps, model = steps_for(case, "clairkit torch")
    steps["clairkit torch"] = Wrong(steps["clairkit torch"], mistake)
    found = check_and_time(case, steps, model, SETTINGS)
    wrong = found["clairkit torch"]
    assert (wrong.status, wrong.seconds) == ("PARITY FAILED", ())
    assert found["plain"].status == "ok"
    assert len(found["plain"].seconds) == 2
    assert CaseResult(case, tuple(found.values())).time_ratio(wrong) is None


def test_a_variant_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made = step_worker.make_step

    def fails(variant: str, *rest: Any) -> Any:
        if variant == "clairkit torch":
            raise torch.OutOfMemoryError("out of memory")
        return made(variant, *rest)

    monkeypatch.setattr(step_worker, "make_step", fails)
    found = measure_times(CASE, ("plain", "clairkit torch", "clairkit none"), SETTINGS)
    assert {name: entry.status for name, entry in found.items()} == {
        "plain": "ok", "clairkit torch": "OOM", "clairkit none": "ERROR"}  # fmt: skip


def test_without_the_plain_step_nothing_is_compared() -> None:
    found = measure_times(CASE, ("clairkit torch",), SETTINGS)
    entry: VariantResult = found["clairkit torch"]
    assert (entry.status, len(entry.seconds)) == ("unchecked", 2)
    assert CaseResult(CASE, (entry,)).time_ratio(entry) is None


def test_the_plain_step_imports_nothing_of_clairkit() -> None:
    import ast
    import inspect

    from clairkit.bench import plain_step

    names = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(inspect.getsource(plain_step)))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {(name or "").split(".")[0] for name in names} <= {
        "torch", "typing", "collections", "__future__"}  # fmt: skip
