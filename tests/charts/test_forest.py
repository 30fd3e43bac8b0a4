"""Rows of a forest plot share a scale, and stay inside it."""

from __future__ import annotations

import re

import pytest

from clairkit.charts.forest import WIDTH, forest_axis, forest_row, forest_scale


@pytest.mark.parametrize(
    ("values", "null"),
    [([0.4, 0.6], 0.5), ([-3.0, 80.0], 0.0), ([0.7, 0.7], None), ([0.5], 0.5), ([1e-9, 1e9], 0.0)],
)
def test_a_row_lies_inside_and_in_order(values: list[float], null: float | None) -> None:
    across = forest_scale(values, null)
    drawn = forest_row(across, values[0], (min(values), max(values)), null)
    places = [float(each) for each in re.findall(r' (?:x1|x2|cx)="([-\d.]+)"', drawn)]
    assert all(0 <= place <= WIDTH for place in places)
    low, high = places[-3:-1]
    assert low <= places[-1] <= high
    assert drawn.count('class="null"') == (null is not None)


def test_without_an_interval_there_is_the_mark_alone() -> None:
    drawn = forest_row(forest_scale([1.0, 2.0]), 1.0, None)
    assert "<line" not in drawn
    assert "<circle" in drawn


def test_the_axis_has_round_values_with_their_unit() -> None:
    labels = re.findall(r">([^<>]+)</text>", forest_axis(forest_scale([40.0, 60.0], 50.0), " %"))
    assert labels == ["40 %", "50 %", "60 %"]
