"""The ahead-of-time check: what it calls a fault, and the largest kernels through it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import compile_check
import pytest
from compile_check import (
    SHARED_LIMIT,
    Compiled,
    head_cases,
    row_cases,
    table,
)

from clairkit.kernels.tiles import MAX_EXPONENT
from clairkit.kernels.triton import configs

SOUND = Compiled("head", "128 x 256 x 64", 8, 4, 90, 224, 196608, 0, 0)


def changed(**values: Any) -> Compiled:
    return Compiled(**(vars(SOUND) | values))


def test_a_spill_and_too_much_shared_memory_are_faults() -> None:
    assert SOUND.faults() == []
    assert "spills" in changed(stack=8).faults()[0]
    assert "spills" in changed(local=2).faults()[0]
    assert "shared" in changed(shared=SHARED_LIMIT[90] + 1).faults()[0]
    assert len(changed(capability=80, stack=8).faults()) == 2


def test_a_product_without_tensor_cores_is_a_fault() -> None:
    assert "no instruction HGMMA" in changed(missing=("HGMMA",)).faults()[0]


def test_the_table_names_every_kernel_once_a_row() -> None:
    plain = table([SOUND, changed(capability=100)], markdown=False).splitlines()
    assert [line.split()[-4:] for line in plain[1:]] == [
        ["90", "224", "192.0", "0"],
        ["100", "224", "192.0", "0"],
    ]
    marked = table([SOUND], markdown=True).splitlines()
    assert marked[2] == "| head | 128 x 256 x 64 | 8 | 4 | 90 | 224 | 192.0 | 0 |"
    assert {line.count("|") for line in marked} == {9}


def test_every_launch_of_the_table_is_compiled_with_the_op_s_own_numbers() -> None:
    cases = [*head_cases(), *row_cases()]
    compiled = {
        (case.capabilities[0], case.constexprs["BLOCK_V"], case.num_warps, case.num_stages)
        for case in head_cases()
    }
    shipped = {
        (family, launch.block_v, launch.num_warps, launch.num_stages)
        for (family, _), launch in configs.HEAD.items()
    }
    assert compiled == shipped
    assert {case.constexprs.get("MAX_EXPONENT", MAX_EXPONENT) for case in cases} == {MAX_EXPONENT}
    for case in cases:
        assert set(case.signature) | set(case.constexprs) == set(case.fn.arg_names), case.name


@pytest.mark.slow
def test_the_largest_kernels_neither_spill_nor_take_too_much_shared_memory() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    words = ("head, backward, all options", "head, forward, statistics", "gather")
    done = subprocess.run(
        [
            sys.executable,
            str(Path(compile_check.__file__)),
            "--markdown",
            *(part for word in words for part in ("--only", word)),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()[2:]
    assert len(rows) == 3 * 4 + 2  # on sm_90 two of them with pointers, too
    assert all(row.endswith("| 0 |") for row in rows)
