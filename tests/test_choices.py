"""The values of options against what they name, which brings torch."""

from __future__ import annotations

import subprocess
import sys
import typing

from clairkit.choices import KERNELS, LOSS_ALIASES, LOSS_NAMES


def test_the_kernels_are_those_there_are() -> None:
    from clairkit.kernels import BACKENDS

    assert ("auto", *BACKENDS) == KERNELS


def test_the_losses_are_those_there_are() -> None:
    from clairkit.losses import LOSSES

    assert tuple(LOSSES) == LOSS_NAMES
    assert set(LOSS_ALIASES.values()) <= set(LOSSES)
    assert not LOSS_ALIASES.keys() & LOSSES.keys()


def test_each_token_weight_has_a_mask() -> None:
    import torch

    from clairkit.choices import LOSS_MASKS
    from clairkit.training.masks import weights_of

    marks = torch.tensor([True, False]), torch.tensor([False])
    found = {mask: weights_of(mask, 0.25, marks)[0].tolist() for mask in LOSS_MASKS}
    assert found == {"all": [1, 1], "edits": [1, 0], "weighted": [1, 0.25]}


def test_the_configuration_takes_these_types() -> None:
    from clairkit import choices
    from clairkit.training.config import own_types

    keys = ("kernel", "loss_mask", "truncation", "thoughts", "special_tokens", "dtype")
    for key in keys:
        named = getattr(choices, key.title().replace("_", ""))
        assert typing.get_args(own_types()[key]) == typing.get_args(named)


def test_importing_them_is_light() -> None:
    code = "import sys, clairkit.choices; assert not {'torch', 'click'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
