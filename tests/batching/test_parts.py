"""Every item in one part, no part above its budget, no part empty."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.batching.collate import balance_parts, balance_rows, fill_parts, fill_rows

Sizes = list[int]
sizes_of_items = st.lists(st.integers(1, 50), min_size=1, max_size=12)


def total(sizes: Sizes, part: list[int]) -> int:
    return sum(sizes[item] for item in part)


def padded(sizes: Sizes, part: list[int]) -> int:
    return len(part) * max(sizes[item] for item in part)


@pytest.mark.parametrize(("fill", "cost"), [(fill_parts, total), (fill_rows, padded)])
@given(sizes=sizes_of_items, tokens=st.integers(1, 120))
def test_filled_parts(
    fill: Callable[..., list[list[int]]], cost: Callable[..., int], sizes: Sizes, tokens: int
) -> None:
    parts = fill(sizes, tokens)
    assert sorted(item for part in parts for item in part) == list(range(len(sizes)))
    assert all(part == sorted(part) for part in parts)
    assert all(cost(sizes, part) <= tokens or len(part) == 1 for part in parts)
    # no two could have been one
    if fill is fill_parts:
        loads = sorted(total(sizes, part) for part in parts)
        assert len(loads) < 2 or loads[0] + loads[1] > tokens
    assert fill(sizes, None) == [list(range(len(sizes)))]


@pytest.mark.parametrize(("balance", "cost"), [(balance_parts, total), (balance_rows, padded)])
@given(sizes=sizes_of_items, count=st.integers(1, 8))
def test_balanced_parts(
    balance: Callable[..., list[list[int]]], cost: Callable[..., int], sizes: Sizes, count: int
) -> None:
    parts = balance(sizes, count)
    assert len(parts) == min(count, len(sizes))
    assert sorted(item for part in parts for item in part) == list(range(len(sizes)))
    assert all(parts)
    worst = max(cost(sizes, part) for part in parts)
    assert worst <= cost(sizes, list(range(len(sizes))))
    if balance is balance_parts:  # the bound of the longest-first rule (Graham 1969)
        least = max(max(sizes), -(-sum(sizes) // len(parts)))
        assert worst <= 2 * least


def test_by_hand() -> None:
    assert fill_parts([5, 9, 3, 4], 12) == [[1, 2], [0, 3]]
    assert fill_rows([5, 9, 3, 4], 12) == [[1], [0, 3], [2]]
    assert balance_parts([5, 9, 3, 4], 2) == [[1, 2], [0, 3]]
    assert balance_rows([5, 9, 3, 4], 2) == [[1], [0, 2, 3]]
