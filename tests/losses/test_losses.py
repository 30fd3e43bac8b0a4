"""Each loss against its closed form at 0, its equation in plain Python floats, and its gradient."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.errors import UsageError
from clairkit.losses import LOSSES, parse_loss, preference_loss

BETA = 0.3
LENGTHS = {"chosen_lengths": torch.tensor([5, 9, 2]), "rejected_lengths": torch.tensor([7, 3, 4])}
NEEDS_LENGTHS = {"ipo", "sigmoid_norm", "sft"}


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def ls(x: float) -> float:
    return math.log(s(x))


# Per pair, from w, l (log-ratios in nats) and the two lengths; label smoothing 0.1 where read.
EQUATIONS: dict[str, Callable[[float, float, int, int], float]] = {
    "apo_zero": lambda w, v, m, n: (1 - s(BETA * w)) + s(BETA * v),
    "apo_down": lambda w, v, m, n: s(BETA * w) + (1 - s(BETA * w - BETA * v)),
    "apo_zero_unpaired": lambda w, v, m, n: ((1 - s(BETA * w)) + s(BETA * v)) / 2,
    "sigmoid": lambda w, v, m, n: -ls(BETA * (w - v)),
    "sigmoid_norm": lambda w, v, m, n: -ls(BETA * (w / m - v / n)),
    "hinge": lambda w, v, m, n: max(0.0, 1 - BETA * (w - v)),
    "ipo": lambda w, v, m, n: (w / m - v / n - 1 / (2 * BETA)) ** 2,
    "robust": lambda w, v, m, n: (-0.9 * ls(BETA * (w - v)) + 0.1 * ls(BETA * (v - w))) / 0.8,
    "exo_pair": lambda w, v, m, n: (
        s(BETA * (w - v)) * (ls(BETA * (w - v)) - math.log(0.9))
        + s(BETA * (v - w)) * (ls(BETA * (v - w)) - math.log(0.1))
    ),
    "nca_pair": lambda w, v, m, n: -ls(BETA * w) - 0.5 * ls(-BETA * w) - 0.5 * ls(-BETA * v),
    "bco_pair": lambda w, v, m, n: -ls(BETA * w) - ls(-BETA * v),
    "sppo_hard": lambda w, v, m, n: (w - 0.5 / BETA) ** 2 + (v + 0.5 / BETA) ** 2,
    "discopop": lambda w, v, m, n: (
        -ls(BETA * (w - v)) * (1 - s(BETA * (w - v) / 0.05))
        + math.exp(-BETA * (w - v)) * s(BETA * (w - v) / 0.05)
    ),
}

AT_ZERO = {
    "apo_zero": 1.0,
    "apo_down": 1.0,
    "apo_zero_unpaired": 0.5,
    "sigmoid": math.log(2),
    "sigmoid_norm": math.log(2),
    "hinge": 1.0,
    "ipo": 1 / (4 * BETA**2),
    "robust": math.log(2),
    "exo_pair": -math.log(2) - (math.log(0.9) + math.log(0.1)) / 2,
    "nca_pair": 2 * math.log(2),
    "bco_pair": 2 * math.log(2),
    "sppo_hard": 1 / (2 * BETA**2),
    "aot": math.log(2),
    "aot_unpaired": math.log(2),
    "discopop": (math.log(2) + 1) / 2,
}


def options(name: str) -> dict[str, Any]:
    smoothing = {"label_smoothing": 0.1} if "label_smoothing" in LOSSES[name].options else {}
    return smoothing | (LENGTHS if name in NEEDS_LENGTHS else {})


def logps() -> list[Tensor]:
    """Chosen, rejected, and both under the reference: [3] each, in nats."""
    return [torch.randn(3) * 4 - 60 for _ in range(4)]


def test_every_loss_of_the_design_is_there() -> None:
    names = """apo_zero apo_down sigmoid hinge ipo robust exo_pair nca_pair bco_pair sppo_hard aot
        aot_unpaired discopop sft sigmoid_norm apo_zero_unpaired"""
    assert list(LOSSES) == names.split()


@pytest.mark.parametrize("name", list(AT_ZERO))
def test_closed_form_before_any_step(name: str) -> None:
    reference = logps()[:2]
    result = preference_loss(*reference, *reference, loss=name, beta=BETA, **options(name))
    assert float(result.loss) == pytest.approx(AT_ZERO[name], abs=1e-6)
    assert float(result.chosen_rewards.abs().max() + result.rejected_rewards.abs().max()) == 0


@pytest.mark.parametrize("name", list(EQUATIONS))
def test_equation(name: str) -> None:
    torch.manual_seed(7)
    given = logps()
    result = preference_loss(*given, loss=name, beta=BETA, **options(name))
    w, v = ((a - b).tolist() for a, b in zip(given[:2], given[2:], strict=True))
    lengths = zip(*(LENGTHS[key].tolist() for key in LENGTHS), strict=True)
    expected = [
        EQUATIONS[name](*ratios, *sizes)
        for ratios, sizes in zip(zip(w, v, strict=True), lengths, strict=True)
    ]
    assert result.losses.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert float(result.loss) == pytest.approx(statistics.fmean(expected), rel=1e-5)
    assert result.chosen_rewards.tolist() == pytest.approx([BETA * x for x in w], rel=1e-6)
    assert result.rejected_rewards.tolist() == pytest.approx([BETA * x for x in v], rel=1e-6)


@pytest.mark.parametrize("name", ["aot", "aot_unpaired"])
def test_transport_losses_sort_both_sides(name: str) -> None:
    chosen, rejected, ref_chosen, ref_rejected = given = logps()
    result = preference_loss(*given, loss=name, beta=BETA, label_smoothing=0.1)
    if name == "aot":
        left, right = (chosen - rejected).tolist(), (ref_chosen - ref_rejected).tolist()
    else:
        left, right = (chosen - ref_chosen).tolist(), (rejected - ref_rejected).tolist()
    deltas = [BETA * (a - b) for a, b in zip(sorted(left), sorted(right), strict=True)]
    expected = [-0.9 * ls(d) - 0.1 * ls(-d) for d in deltas]
    assert result.losses.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_sft_is_the_token_mean_over_the_batch() -> None:
    given = logps()
    result = preference_loss(*given, loss="sft", **LENGTHS)
    expected = -sum(given[0].tolist()) / sum(LENGTHS["chosen_lengths"].tolist())
    assert float(result.loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradient_against_finite_differences(name: str) -> None:
    torch.manual_seed(8)
    given = [tensor.double() for tensor in logps()]

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        sides = (chosen, rejected, *given[2:])
        return preference_loss(*sides, loss=name, beta=BETA, **options(name)).loss

    leaves = tuple(tensor.requires_grad_() for tensor in given[:2])
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-5)


def test_apo_zero_is_not_its_logsigmoid_twin() -> None:
    """Written with log-sigmoid it is bco_pair, a common mistake: 2 ln 2 at 0 instead of 1."""
    given = logps()
    apo = preference_loss(*given, loss="apo_zero", beta=BETA)
    bco = preference_loss(*given, loss="bco_pair", beta=BETA)
    w, v = given[0] - given[2], given[1] - given[3]
    mistaken = -torch.nn.functional.logsigmoid(BETA * w) - torch.nn.functional.logsigmoid(-BETA * v)
    torch.testing.assert_close(bco.losses, mistaken)
    assert bool((apo.losses - mistaken).abs().gt(0.05).all())


@pytest.mark.parametrize(
    ("name", "chosen_sign", "rejected_sign"), [("apo_zero", -1, 1), ("sigmoid", -1, 1)]
)
def test_direction_of_the_gradients(name: str, chosen_sign: int, rejected_sign: int) -> None:
    leaves = [torch.full((2,), -50.0, requires_grad=True) for _ in range(2)]
    reference = [torch.full((2,), -50.0) for _ in range(2)]
    gradients = torch.autograd.grad(preference_loss(*leaves, *reference, loss=name).loss, leaves)
    assert bool((gradients[0] * chosen_sign > 0).all())
    assert bool((gradients[1] * rejected_sign > 0).all())


def test_apo_down_lowers_a_chosen_side_that_rose() -> None:
    chosen, rejected = torch.tensor([-40.0], requires_grad=True), torch.tensor([-60.0])
    reference = torch.tensor([-50.0])
    loss = preference_loss(chosen, rejected, reference, reference, loss="apo_down", beta=0.1).loss
    assert float(torch.autograd.grad(loss, chosen)[0]) > 0


def test_rewards_carry_no_gradient() -> None:
    leaves = [tensor.requires_grad_() for tensor in logps()]
    result = preference_loss(*leaves)
    assert not result.chosen_rewards.requires_grad
    assert result.loss.requires_grad


def test_discopop_is_finite_where_its_exponential_overflows() -> None:
    chosen = torch.tensor([-2000.0], requires_grad=True)
    other, zero = torch.tensor([-50.0]), torch.zeros(1)
    result = preference_loss(chosen, other, other, other, loss="discopop", beta=0.1)
    # its logistic part, -log sigmoid(-195)
    assert float(result.loss.detach()) == pytest.approx(195.0)
    (gradient,) = torch.autograd.grad(result.loss, chosen)
    torch.testing.assert_close(gradient, zero - 0.1)


def test_half_precision_is_summed_in_float32() -> None:
    given = [tensor.bfloat16() for tensor in logps()]
    assert preference_loss(*given).losses.dtype == torch.float32


def test_a_dash_is_as_good_as_an_underscore() -> None:
    given = logps()
    a, b = (preference_loss(*given, loss=name).loss for name in ("apo-zero", "apo_zero"))
    assert torch.equal(a, b)


@pytest.mark.parametrize(("alias", "name"), [("dpo", "sigmoid"), ("bco", "bco_pair")])
def test_an_alias_is_the_loss_of_its_papers_name(alias: str, name: str) -> None:
    given = logps()
    assert str(parse_loss(f"{alias}+0.1*sft")) == f"{name}+0.1*sft"
    a, b = (preference_loss(*given, loss=each).loss for each in (alias, name))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "apo_zer"}, "Did you mean 'apo_zero'"),
        ({"loss": "apo_zero", "label_smoothing": 0.1}, "does not read the option"),
        ({"loss": "hinge", "margin": 2.0}, "does not read the option 'margin'"),
        ({"loss": "ipo"}, "chosen_lengths"),
        ({"chosen_lengths": torch.ones(3, 1)}, r"chosen_lengths \[3, 1\]"),
        ({"loss": "robust", "label_smoothing": 0.5}, "label_smoothing"),
        ({"loss": "exo_pair", "label_smoothing": 0.0}, "label_smoothing"),
        ({"beta": 0.0}, "beta"),
        ({"loss": "discopop", "discopop_tau": 0.0}, "discopop_tau"),
    ],
)
def test_what_a_loss_does_not_read_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preference_loss(*logps(), **options)


def test_a_shape_that_would_broadcast_is_refused() -> None:
    chosen, *others = logps()
    with pytest.raises(UsageError, match=r"chosen_logps \[3, 1\]"):
        preference_loss(chosen[:, None], *others)
