"""The comparison that stands before every time: what passes, and what must not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clairkit.bench.step.parity import TOLERANCES, StepResult, compare

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
