"""The points of the kernel suite: names, patterns, and what they count."""

from __future__ import annotations

import pytest

from clairkit.bench.kernels.cases import CPU, GPU, KNOWN, LONG, QUICK, KernelCase, select


def test_names_tell_points_apart() -> None:
    assert len({case.name for case in KNOWN}) == len(KNOWN)
    assert {*QUICK, *CPU, *GPU} == set(KNOWN)
    assert "v152k-frozen-fp32-2048" in {case.name for case in CPU}
    assert LONG.name == "v128k-frozen-bf16-24576"


def test_the_cpu_suite_has_every_combination() -> None:
    plain = [case for case in CPU[:-1] if not case.prompt]
    shapes = {(case.vocabulary, case.dtype, case.head, case.tokens) for case in plain}
    assert len(shapes) == len(plain) == 2 * 2 * 2 * 4
    prompted = [case for case in CPU if case.prompt]
    assert {(case.dtype, case.head) for case in prompted} == {
        (case.dtype, case.head) for case in plain
    }
    assert all(case.positions == 2 * case.tokens for case in prompted)
    assert len({case.name for case in KNOWN}) == len(KNOWN)
    assert {case.sequences for case in CPU if case.tokens == 4096} == {4}
    assert all(case.tokens % case.sequences == 0 for case in KNOWN)


def test_the_gpu_suite_has_every_shape_length_and_head() -> None:
    found = {(case.vocabulary, case.hidden, case.tokens, case.head) for case in GPU}
    assert len(GPU) == len(found) == 3 * 3 * 2
    assert {case.dtype for case in GPU} == {"bfloat16"}
    assert {(case.vocabulary, case.hidden) for case in GPU} == {
        (151936, 896),
        (128256, 4096),
        (49152, 576),
    }
    assert {case.tokens for case in GPU} == {2048, 8192, 24576}
    assert [case.name for case in GPU[:2]] == [
        "v152k-d896-frozen-bf16-2048",
        "v152k-d896-full-bf16-2048",
    ]


def test_selection_by_name_and_pattern() -> None:
    assert select((), QUICK) == list(QUICK)
    assert [case.name for case in select(("v32k-full-bf16-256",), CPU)] == ["v32k-full-bf16-256"]
    found = select(("v32k-*-fp32-1024", "v128k-frozen-bf16-24576"), CPU)
    assert [case.name for case in found] == [
        "v32k-frozen-fp32-1024",
        "v32k-full-fp32-1024",
        "v128k-frozen-bf16-24576",
    ]
    with pytest.raises(ValueError, match="no such case: received 'v9k-"):
        select(("v32k-*", "v9k-*"), CPU)


def test_bytes() -> None:
    case = KernelCase(1000, 64, 30, "bfloat16", "full")
    assert case.logit_bytes == 30 * 1000 * 2
    assert case.gradient_bytes == (30 + 1000) * 64 * 2
    assert case.input_bytes == case.gradient_bytes
    assert (case.products, KernelCase(9, 9, 2).products) == ((8, 6), (4,))
