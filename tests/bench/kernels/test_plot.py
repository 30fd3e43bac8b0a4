"""The plot of the kernel suite: what is in it, what is not, and that it is one good SVG."""

from __future__ import annotations

import itertools
from typing import Any
from xml.etree import ElementTree

import pytest

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.plot import Scale, draw, groups_of, spread
from clairkit.bench.kernels.plot_style import _STYLES, style_of

SVG = "{http://www.w3.org/2000/svg}"


def result(variant: str, seconds: float, megabytes: float, status: str = "ok") -> dict[str, Any]:
    sound = status == "ok"
    return {
        "variant": variant,
        "status": status,
        "time": {"median": seconds} if sound else None,
        "memory": {"extra_bytes": megabytes * 1e6} if sound else None,
    }


def document(*tokens: int, heads: tuple[Any, ...] = ("frozen",)) -> dict[str, Any]:
    points = [
        {
            "case": KernelCase(32768, 896, count, "float32", head).to_json(),
            "bare": {"4": {"seconds": [count / 1000, count / 900, count / 1100]}},
            "results": [
                result("clairkit auto", count / 950, 30),
                result("trl", count / 300, count),
                result("a <new> & peer", count / 300, 7),
                result("wrong one", 1e-9, 1, "PARITY FAILED"),
                result("liger dpo", 1e-9, 1, "OOM" if count == max(tokens) else "ok"),
            ],
        }
        for head in heads
        for count in tokens
    ]
    machine = {
        "cpu": "A <CPU>",
        "device": "cpu",
        "threads": 2,
        "commit": "abc",
        "versions": {"torch": "2.13.0", "trl": None},
    }
    return {"points": points, "machine": machine, "absent": {"quack": "not installed"}}


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_line_has_its_name_in_the_legend_and_at_its_end() -> None:
    found = texts(draw(document(256, 1024, 4096)))
    for name in ("clairkit auto", "trl", "a <new> & peer", "bare 4 NVD"):
        assert found.count(name) >= 2, name
    assert found.count("clairkit auto") == 3  # legend, time, memory
    assert {"256", "1,024", "4,096"} <= set(found)


def test_what_failed_is_named_and_not_drawn() -> None:
    svg = draw(document(256, 1024))
    assert "wrong one" not in texts(svg)
    foot = " ".join(texts(svg)[-3:])
    for text in (
        "wrong one (v32k-frozen-fp32-256: PARITY FAILED)",
        "quack absent",
        "liger dpo (v32k-frozen-fp32-1024: OOM)",
    ):
        assert text in foot
    (group,) = groups_of(document(256, 1024))
    assert group.time.lines["liger dpo"] == [(256, 1e-6)]
    assert group.time.lines["bare 4 NVD"] == [(256, 0.256), (1024, 1.024)]
    assert group.memory.lines["trl"] == [(256, 256.0), (1024, 1024.0)]


def test_one_point_and_no_point_can_be_drawn() -> None:
    assert "256" in texts(draw(document(256)))
    nothing = document(256) | {"points": []}
    assert ElementTree.fromstring(draw(nothing)).tag == f"{SVG}svg"


def test_it_needs_no_other_file() -> None:
    svg = draw(document(256, 1024, heads=("frozen", "full")))
    assert len(groups_of(document(256, 1024, heads=("frozen", "full")))) == 2
    for outside in ("<script", "<image", "href", "@import", "url("):
        assert outside not in svg
    assert svg.count("http") == 1  # the namespace


def test_everything_lies_inside() -> None:
    root = ElementTree.fromstring(draw(document(256, 1024, 4096)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for node in root.findall(f"{SVG}text"):
        assert 0 <= float(node.attrib["x"]) <= width
        assert 0 <= float(node.attrib["y"]) <= height


def test_no_two_lines_differ_in_colour_alone() -> None:
    looks = [(style.shape, style.dashes, style.hollow) for style in _STYLES.values()]
    assert len(set(looks)) == len(looks)
    assert style_of("bare 8 NVD") != style_of("trl")


def test_a_logarithmic_scale() -> None:
    scale = Scale.over([10.0, 1000.0], 100.0, 1.0)
    assert [scale(value) for value in (10, 100, 1000)] == pytest.approx([0, 50, 100])
    assert scale.ticks() == [10.0, 100.0, 1000.0]
    assert Scale.over([2.0, 40.0], 100.0, 1.0).ticks() == [3.0, 10.0, 30.0]


def test_names_stand_apart_in_the_order_of_their_lines() -> None:
    placed = spread({"c": 50.0, "a": 49.0, "b": 49.5, "low": 200.0, "lower": 201.0}, 196.0)
    assert list(placed) == ["a", "b", "c", "low", "lower"]
    places = list(placed.values())
    assert all(later - earlier >= 12 for earlier, later in itertools.pairwise(places))
    assert places[-1] <= 196.0 + 6
