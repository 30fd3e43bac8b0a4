"""The drawing, read back from the SVG and compared with the data."""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest

from clairkit.charts import Chart, Point, Series, area_chart, line_chart
from clairkit.charts.draw import POINTS, WIDTH, _apart
from clairkit.charts.model import running_mean, stretches, thinned

MINUS = "\N{MINUS SIGN}"
NAMESPACE = {"s": "http://www.w3.org/2000/svg"}
Places = list[tuple[float, float]]


def chart(*series: Series, **changes: Any) -> Chart:
    return Chart("c", "Loss", "falls", series, x_label="step", **changes)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def places(element: ET.Element) -> Places:
    pairs = (pair.split(",") for pair in element.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def axis(root: ET.Element, anchor: str) -> tuple[float, float]:
    """Offset and slope of an axis, from its first and last tick label: value = a + b * place."""
    ticks = [
        (
            float(item.text.replace(MINUS, "-").replace("k", "e3").rstrip(" %")),
            float(item.attrib["x" if anchor == "middle" else "y"]),
        )
        for item in root.findall("s:text", NAMESPACE)
        if item.attrib["text-anchor"] == anchor and item.text and item.text != "step"
    ]
    (first, start), (last, end) = ticks[0], ticks[-1]
    slope = (last - first) / (end - start)
    return first - slope * (start - (4 if anchor == "end" else 0)), slope


def values(root: ET.Element, points: Places) -> Places:
    """Data read off the picture with its own axes."""
    (x0, dx), (y0, dy) = axis(root, "middle"), axis(root, "end")
    return [(x0 + dx * x, y0 + dy * y) for x, y in points]


@pytest.mark.parametrize("seed", range(5))
def test_lines_are_where_the_axes_say(seed: int) -> None:
    rng = random.Random(seed)
    size = 10.0 ** rng.randint(-2, 3)
    points = [(float(10 * i), rng.gauss(0, size)) for i in range(50)]
    root = parse(line_chart(chart(Series("loss", points))))
    (line,) = root.findall("s:polyline", NAMESPACE)
    read = values(root, places(line))
    spread = max(y for _, y in points) - min(y for _, y in points)
    for (x, y), (read_x, read_y) in zip(points, read, strict=True):
        assert read_x == pytest.approx(x, abs=0.05 * 10)
        assert read_y == pytest.approx(y, abs=spread / 1000)


def test_marks_are_where_the_axes_say_and_bear_no_label() -> None:
    points: list[Point] = [(0, 1.0), (50, 0.5), (100, 0.25)]
    root = parse(line_chart(chart(Series("a", points), Series("held out", points, marks=True))))
    marks = root.findall("s:circle[@class='mark s0']", NAMESPACE)
    read = values(root, [(float(m.attrib["cx"]), float(m.attrib["cy"])) for m in marks])
    assert [x for x, _ in read] == pytest.approx([0, 50, 100], abs=0.5)
    assert [y for _, y in read] == pytest.approx([1.0, 0.5, 0.25], abs=0.002)
    assert "held out" not in [item.text for item in root.findall("s:text", NAMESPACE)]


def test_missing_values_and_gaps_interrupt_a_line() -> None:
    points: list[Point] = [(x, float(x)) for x in range(20)]
    points[5], points[8] = (5, None), (8, math.nan)
    points += [(x, float(x)) for x in range(40, 45)]
    root = parse(line_chart(chart(Series("a", points))))
    lengths = [len(places(line)) for line in root.findall("s:polyline", NAMESPACE)]
    assert lengths == [5, 2, 11, 5]


def test_a_lonely_point_is_a_dot() -> None:
    root = parse(line_chart(chart(Series("a", [(0, 1.0), (1, None), (2, 2.0)]))))
    assert len(root.findall("s:circle[@class='dot f0']", NAMESPACE)) == 2
    assert not root.findall("s:polyline", NAMESPACE)


def test_nothing_measured_is_no_chart() -> None:
    assert line_chart(chart(Series("a", [(0, None), (1, math.inf)]))) == ""
    assert line_chart(chart()) == ""
    assert area_chart(chart(Series("a", []))) == ""
    assert area_chart(chart()) == ""


def test_the_baseline_is_in_view() -> None:
    root = parse(line_chart(chart(Series("a", [(0, 5.0), (1, 6.0)]), baseline=0.0)))
    (base,) = root.findall("s:line[@class='base']", NAMESPACE)
    ((_, y),) = values(root, [(0.0, float(base.attrib["y1"]))])
    assert y == pytest.approx(0, abs=0.01)


def test_a_spike_survives_thinning() -> None:
    points = [(float(x), 0.01 * math.sin(x)) for x in range(50_000)]
    points[31_234] = (31_234.0, 9.0)
    points[31_239] = (31_239.0, -7.0)
    kept = thinned(points, 800)
    assert len(kept) <= 802
    assert {points[31_234], points[31_239], points[0], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    root = parse(line_chart(chart(Series("a", points))))
    (line,) = root.findall("s:polyline", NAMESPACE)
    drawn = values(root, places(line))
    assert len(drawn) <= POINTS + 2
    assert max(y for _, y in drawn) == pytest.approx(9, abs=0.02)
    assert min(y for _, y in drawn) == pytest.approx(-7, abs=0.02)


def test_thinning_leaves_short_and_vertical_series_alone() -> None:
    assert thinned([(0.0, 1.0), (1.0, 2.0)], 4) == [(0.0, 1.0), (1.0, 2.0)]
    column = [(1.0, float(y)) for y in range(100)]
    assert thinned(column, 10) == [column[0], column[-1]]


def test_stretches_end_where_x_jumps() -> None:
    assert stretches([(0, 1.0), (1, 1.0), (5, 1.0)], 3.0) == [[(0, 1.0), (1, 1.0)], [(5, 1.0)]]


def test_areas_are_stacked_to_the_full_height() -> None:
    rng = random.Random(0)
    shares = []
    for _ in range(30):
        cuts = sorted((0.0, rng.random(), rng.random(), 1.0))
        shares.append([b - a for a, b in pairwise(cuts)])
    series = [
        Series(name, [(float(x), row[index]) for x, row in enumerate(shares)], style=index)
        for index, name in enumerate("abc")
    ]
    root = parse(area_chart(chart(*series)))
    polygons = root.findall("s:polygon", NAMESPACE)
    total = [0.0] * 30
    for item, polygon in zip(series, polygons, strict=True):
        read = [y / 100 for _, y in values(root, places(polygon))]
        upper, lower = read[:30], read[30:][::-1]
        assert lower == pytest.approx(total, abs=0.002)
        total = [a + (b or 0) for a, (_, b) in zip(total, item.points, strict=True)]
        assert upper == pytest.approx(total, abs=0.002)
    assert total == pytest.approx([1.0] * 30)


def test_areas_have_a_gap_where_a_layer_lacks_a_value() -> None:
    one: list[Point] = [(x, 0.5) for x in range(6)]
    other: list[Point] = [(x, None if x == 3 else 0.5) for x in range(6)]
    root = parse(area_chart(chart(Series("a", one), Series("b", other))))
    assert len(root.findall("s:polygon", NAMESPACE)) == 4


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\x00b\x1b[31m", "]]>\ufffe\ud800", "\"&'"]
)
def test_hostile_text_is_shown_as_text(name: str) -> None:
    found = Chart("c", name, name, [Series(name, [(0, 1.0), (1, 2.0)])], x_label=name)
    svg = line_chart(found)
    root = parse(svg)
    assert {item.tag.rpartition("}")[2] for item in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "line",
        "text",
        "polyline",
    }
    svg.encode("utf-8")


def test_it_has_a_title_and_a_description_for_a_reader() -> None:
    root = parse(line_chart(chart(Series("a", [(0, 1.0)]))))
    ids = {item.attrib["id"]: item.text for item in root if "id" in item.attrib}
    assert [ids[name] for name in root.attrib["aria-labelledby"].split()] == ["Loss", "falls"]
    assert root.attrib["role"] == "img"


def test_labels_stay_apart_and_inside() -> None:
    assert _apart([50.0, 51.0, 52.0], 10, 100) == [50.0, 64.0, 78.0]
    assert _apart([99.0, 99.5], 10, 100) == [86.0, 100]
    assert _apart([2.0], 10, 100) == [10]
    names = ["chosen", "rejected", "margin"]
    root = parse(line_chart(chart(*(Series(n, [(0, 1.0), (9, 1.0)]) for n in names))))
    texts = {item.text: item for item in root.findall("s:text", NAMESPACE)}
    heights = sorted(float(texts[name].attrib["y"]) for name in names)
    assert min(b - a for a, b in pairwise(heights)) >= 13.9
    assert all(float(texts[n].attrib["x"]) + 6 * len(n) < WIDTH for n in names)


def test_a_long_noisy_line_gets_its_running_mean() -> None:
    rng = random.Random(1)
    points = [(float(x), rng.gauss(0.1 * x, 1.0)) for x in range(200)]
    root = parse(line_chart(chart(Series("a", points), smooth=True)))
    raw, mean = root.findall("s:polyline", NAMESPACE)
    assert [line.attrib["class"] for line in (raw, mean)] == ["line s0 raw", "line s0"]
    assert [y for _, y in values(root, places(raw))] == pytest.approx(
        [y for _, y in points], abs=0.05
    )
    read = values(root, places(mean))
    for index in (0, 3, 100, 197, 199):
        near = min(5, index, 199 - index)
        around = [y for _, y in points[index - near : index + near + 1]]
        assert read[index][1] == pytest.approx(sum(around) / len(around), abs=0.05)


def test_a_running_mean_leaves_a_straight_line_where_it_is() -> None:
    line = [(float(x), 2.0 * x) for x in range(30)]
    assert running_mean(line, 4) == line
    assert running_mean([], 4) == []


def test_marks_have_their_intervals_and_an_axis_of_fractions() -> None:
    marks = Series("people", [(0.25, 0.4)], marks=True, bars=[(0.25, 0.1, 0.9)])
    line = Series("equal", [(0.0, 0.2), (1.0, 0.8)], 4)
    root = ET.fromstring(line_chart(Chart("c", "t", "d", [line, marks], counts=False)))
    (bar,) = [each for each in root.iter() if each.attrib.get("class", "").startswith("bar")]
    assert bar.attrib["x1"] == bar.attrib["x2"]
    top, bottom = sorted(float(bar.attrib[name]) for name in ("y1", "y2"))
    (circle,) = [each for each in root.iter() if each.attrib.get("class", "").startswith("mark")]
    assert 0 <= top < float(circle.attrib["cy"]) < bottom
    below = [t.text for t in root.iter() if t.attrib.get("text-anchor") == "middle"]
    assert below == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
