"""Sums of losses: how they are written, what they are, and which options go where."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import UsageError
from clairkit.losses import (
    LOSSES,
    LossMix,
    LossOptions,
    PairLogps,
    fusable,
    loss_options,
    parse_loss,
    preference_loss,
)

LENGTHS = {"chosen_lengths": torch.tensor([5, 9, 2]), "rejected_lengths": torch.tensor([7, 3, 4])}


def logps() -> list[torch.Tensor]:
    return [torch.randn(3) * 4 - 60 for _ in range(4)]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("apo_zero", [(1, "apo_zero")]),
        ("apo_zero+0.1*sft", [(1, "apo_zero"), (0.1, "sft")]),
        (" apo-zero +  0.1 * sft ", [(1, "apo_zero"), (0.1, "sft")]),
        ("0.5*apo_zero + sft", [(0.5, "apo_zero"), (1, "sft")]),
        ("1e-3*apo-zero-unpaired", [(1e-3, "apo_zero_unpaired")]),
        ("hinge+1e+1*sft+2.e+0*ipo", [(1, "hinge"), (10, "sft"), (2, "ipo")]),
    ],
)
def test_what_is_written(text: str, terms: list[tuple[float, str]]) -> None:
    mix = parse_loss(text)
    assert list(mix.terms) == terms
    assert parse_loss(str(mix)) == mix


@given(
    st.lists(
        st.tuples(st.floats(0, 1e30, exclude_min=True), st.sampled_from(list(LOSSES))),
        min_size=1,
        unique_by=lambda term: term[1],
    )
)
def test_every_mix_is_read_back_as_it_was(terms: list[tuple[float, str]]) -> None:
    mix = LossMix(tuple(terms))
    assert parse_loss(str(mix)) == mix


def test_a_mix_is_written_shortly() -> None:
    assert str(parse_loss("1.0*apo-zero + 0.10*sft")) == "apo_zero+0.1*sft"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apo_zero+0.1*stf", "unknown loss: received 'stf'. Did you mean 'sft'"),
        ("apo_zero+apo-zero", "apo_zero is named twice"),
        ("apo_zero+0*sft", "weight of sft must be a number above 0: received 0.0"),
        ("apo_zero+-0.1*sft", "weight of sft must be"),
        ("inf*sft", "weight of sft must be"),
        ("nan*sft", "weight of sft must be"),
        ("apo_zero++sft", "empty term"),
        ("apo_zero+0.1*", "empty term"),
        ("*sft", "empty term"),
        ("", "empty term"),
        ("ten*sft", "a weight is no number: received 'ten'"),
        ("apo_zero-0.1*sft", "a weight is no number: received 'apo_zero-0.1'"),
        ("2*3*sft", "a weight is no number"),
        ("0.1sft", "unknown loss"),
    ],
)
def test_what_can_not_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_loss(text)
    assert message in str(caught.value)


def test_a_mix_is_the_weighted_sum_of_its_terms() -> None:
    torch.manual_seed(3)
    given_logps = [tensor.requires_grad_() for tensor in logps()]
    mix = preference_loss(*given_logps, loss="0.5*apo_zero+0.1*sft+ipo", beta=0.2, **LENGTHS)
    parts = {
        name: preference_loss(
            *given_logps, loss=name, beta=0.2, **({} if name == "apo_zero" else LENGTHS)
        )
        for name in ("apo_zero", "sft", "ipo")
    }
    expected = 0.5 * parts["apo_zero"].losses + 0.1 * parts["sft"].losses + parts["ipo"].losses
    torch.testing.assert_close(mix.losses, expected)
    torch.testing.assert_close(mix.loss, expected.mean())
    assert set(mix.terms) == set(parts)
    for name, term in mix.terms.items():
        torch.testing.assert_close(term, parts[name].loss.detach())
    gradients = torch.autograd.grad(mix.loss, given_logps[:2])
    for ours, theirs in zip(
        gradients, torch.autograd.grad(expected.mean(), given_logps[:2]), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_one_loss_is_a_mix_of_itself_to_the_last_bit() -> None:
    given_logps = logps()
    for name, loss in LOSSES.items():
        result = preference_loss(*given_logps, loss=name, **LENGTHS)
        [options] = loss_options(name, 0.1, {})
        assert torch.equal(
            result.losses, loss.function(PairLogps(*given_logps, **LENGTHS), options)
        )


def test_value_before_any_step() -> None:
    reference = logps()[:2]
    result = preference_loss(*reference, *reference, loss="apo_zero+2*sigmoid")
    assert float(result.loss) == pytest.approx(1 + 2 * math.log(2), abs=1e-6)


def test_options_go_to_the_terms_that_read_them() -> None:
    robust, exo, plain = loss_options("robust+exo_pair+hinge", 0.2, {"label_smoothing": 0.3})
    assert robust == exo == LossOptions(beta=0.2, label_smoothing=0.3)
    assert plain == LossOptions(beta=0.2)
    robust, exo, discopop = loss_options("robust+exo_pair+discopop", 0.1, {"discopop_tau": 0.5})
    assert (robust.label_smoothing, exo.label_smoothing) == (0.0, 1e-3)
    assert (exo.discopop_tau, discopop.discopop_tau) == (0.05, 0.5)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("apo_zero+0.1*sft", {"label_smoothing": 0.1}, "apo_zero+0.1*sft does not read the option"),
        ("hinge+robust", {"discopop_tau": 0.1}, "it reads beta, f_divergence_type"),
        ("hinge+robust", {"margin": None}, "does not read the option 'margin'"),
        ("sigmoid", {"f_divergence_type": "jsd"}, "must be one of reverse_kl, forward_kl"),
        ("sigmoid", {"f_alpha_divergence_coef": 0.3}, "alpha_divergence alone"),
        (
            "sigmoid",
            {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": math.inf},
            "must be finite",
        ),
        ("sft", {"f_divergence_type": "forward_kl"}, "sft does not read the option"),
        (
            "sigmoid+apo_zero+aot",
            {"f_divergence_type": "js_divergence"},
            "f_divergence_type is not defined for apo_zero, aot",
        ),
    ],
)
def test_an_option_that_no_term_reads_is_refused(
    loss: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        loss_options(loss, 0.1, options)
    assert message.lower() in str(caught.value).lower()


@pytest.mark.parametrize("loss", list(LOSSES))
def test_the_reverse_kl_is_what_every_loss_has(loss: str) -> None:
    defaults = {"f_divergence_type": "reverse_kl", "f_alpha_divergence_coef": 0.5}
    assert loss_options(loss, 0.1, defaults) == loss_options(loss, 0.1, {})


def test_what_a_mix_needs() -> None:
    assert parse_loss("sft").needs == ("chosen",)
    assert parse_loss("apo_zero_unpaired+0.1*sft").needs == ()
    assert parse_loss("apo_zero+0.1*sft").needs == ("chosen", "rejected")
    assert {name for name, loss in LOSSES.items() if loss.coupled} == {"aot", "aot_unpaired"}
    assert parse_loss("apo_zero+aot").coupled
    assert not parse_loss("apo_zero+sft").coupled


def test_the_fused_kernel_gets_single_losses_of_the_reverse_kl() -> None:
    neutral = {"f_divergence_type": "reverse_kl", "f_alpha_divergence_coef": 0.5}
    for name, loss in LOSSES.items():
        assert fusable(parse_loss(name), neutral, whole=True)
        assert fusable(parse_loss(name), {}, whole=False) == (not loss.step_means)
    other = {"f_divergence_type": "js_divergence"}
    assert not fusable(parse_loss("sigmoid"), other, whole=True)
    assert not fusable(parse_loss("apo_zero+0.1*sft"), {}, whole=True)
    assert not fusable(parse_loss("0.5*apo_zero"), {}, whole=True)
