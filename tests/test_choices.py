"""The values of options against what they name, which brings torch."""

from __future__ import annotations

import subprocess
import sys
import typing

import pytest

from clairkit.choices import KERNELS, LOSS_ALIASES, LOSS_NAMES, size_in_bytes
from clairkit.errors import UsageError


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


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GB", 24 * 10**9),
        ("24 GiB", 24 * 2**30),
        ("24g", 24 * 10**9),
        ("24Gi", 24 * 2**30),
        (" 1.5 tb ", 1_500_000_000_000),
        ("80_000_000_000", 80_000_000_000),
        ("8e10", 80_000_000_000),
        ("512mib", 512 * 2**20),
        ("3 kB", 3000),
        ("7B", 7),
        ("0", 0),
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "24 gigs", "-1", "1,5GB", "24GBps", "4 iB", "٢GB", "1e999", "nan"]
)
def test_what_is_no_size_is_told_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match=r"--memory is not a size: received .*24GB .*24GiB .*24g"):
        size_in_bytes(text, "--memory")
