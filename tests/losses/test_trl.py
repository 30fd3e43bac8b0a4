"""Losses, mixes and f-divergences against the loss that the installed TRL computes.

Its trainer's own method gets a model that returns log-probs, and nothing else of a trainer.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.losses import LOSSES, parse_loss, preference_loss

pytest.importorskip("trl", reason="the [trl] extra is not installed")

LENGTHS = {"chosen_lengths": torch.tensor([5, 9, 2]), "rejected_lengths": torch.tensor([7, 3, 4])}
PROMPT = 4
DIVERGENCES = [
    ("forward_kl", 0.5),
    ("js_divergence", 0.5),
    ("alpha_divergence", 0.5),
    ("alpha_divergence", -0.4),
    ("alpha_divergence", 1.7),
    ("alpha_divergence", 1.0),
]


def token_logps(seed: int) -> tuple[Tensor, Tensor]:
    """Per-token log-probs [6, L-1], 0 outside of responses, and the completion mask [6, L]."""
    torch.manual_seed(seed)
    sizes = torch.cat(list(LENGTHS.values()))
    place = torch.arange(PROMPT + int(sizes.max()))
    mask = (place >= PROMPT) & (place < PROMPT + sizes[:, None])
    return -torch.rand(mask[:, 1:].shape) * mask[:, 1:], mask.long()


def by_trl(loss: str, policy: Tensor, reference: Tensor, mask: Tensor, **options: Any) -> Tensor:
    from trl import DPOTrainer

    mix = parse_loss(loss)
    zeros = torch.zeros_like(policy)
    outputs = SimpleNamespace(
        log_probs=policy, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool(), loss=None
    )
    accelerator = SimpleNamespace(
        device=policy.device, gather=lambda x: x, gather_for_metrics=lambda x: x
    )
    settings = {
        "label_smoothing": 0.0,
        "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5,
        **options,
    }
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=accelerator,
        args=SimpleNamespace(discopop_tau=0.05),
        loss_types=[name for _, name in mix.terms],
        loss_weights=[weight for weight, _ in mix.terms],
        beta=0.2,
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        **settings,
    )
    chosen, rejected = reference.sum(1).chunk(2)
    inputs = {
        "input_ids": torch.zeros_like(mask),
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    found: Tensor = DPOTrainer._compute_loss(
        trainer, lambda **_: outputs, inputs, return_outputs=False
    )
    return found


def check(loss: str, **options: Any) -> None:
    (policy, mask), (reference, _) = token_logps(1), token_logps(2)
    policy.requires_grad_()
    theirs = by_trl(loss, policy, reference, mask, **options)
    sides = [*policy.sum(1).chunk(2), *reference.sum(1).chunk(2)]
    ours = preference_loss(*sides, loss=loss, beta=0.2, **LENGTHS, **options).loss
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    gradients = (torch.autograd.grad(each, policy)[0] * mask[:, 1:] for each in (ours, theirs))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "apo_zero_unpaired"])
def test_each_loss(loss: str) -> None:
    smoothed = {"label_smoothing": 0.1} if "label_smoothing" in LOSSES[loss].options else {}
    check(loss, **smoothed)


@pytest.mark.parametrize(
    "loss", ["apo_zero+0.1*sft", "0.8*sigmoid+0.2*bco_pair+sft", "ipo+3*hinge", "0.5*apo_down"]
)
def test_each_mix(loss: str) -> None:
    check(loss)


@pytest.mark.parametrize(("divergence", "alpha"), DIVERGENCES)
@pytest.mark.parametrize(
    "loss",
    [*(name for name in LOSSES if "f_divergence_type" in LOSSES[name].options), "ipo+0.1*sft"],
)
def test_each_f_divergence(loss: str, divergence: str, alpha: float) -> None:
    smoothed = {"label_smoothing": 0.1} if loss in ("robust", "exo_pair") else {}
    check(loss, f_divergence_type=divergence, f_alpha_divergence_coef=alpha, **smoothed)


def test_the_losses_that_have_other_divergences_are_trls() -> None:
    import inspect
    import re

    from trl import DPOTrainer

    source = inspect.getsource(DPOTrainer.__init__)
    [listed] = re.findall(r"f_divergence_loss_types = \{(.*?)\}", source)
    theirs = set(re.findall(r'"(\w+)"', listed))
    ours = {name for name, loss in LOSSES.items() if "f_divergence_type" in loss.options}
    assert theirs - {"sft"} == ours  # alone, sft has no reference to be far from
