"""The heat map: figures in its cells, and foreign names escaped."""

from __future__ import annotations

from xml.etree import ElementTree

from clairkit.charts.heat import HeatCell, heat_map


def test_a_cell_says_its_figure_and_the_strongest_is_the_darkest() -> None:
    cells = [[HeatCell(0.2, "+20.0", "+10 … +30", True), HeatCell(-0.1, "-10.0")], [None, None]]
    drawing = heat_map(["<one>", "two"], ["sft", "ipo"], cells, 'a "title"')
    root = ElementTree.fromstring(drawing)
    texts = [each.text or "" for each in root.iter() if each.tag.endswith("text")]
    assert {"+20.0", "+10 … +30", "-10.0", "<one>", "-"} <= set(texts)
    boxes = [each.attrib for each in root.iter() if each.tag.endswith("rect")]
    filled = {each["class"]: each["fill-opacity"] for each in boxes if "fill-opacity" in each}
    assert filled == {"f2": "0.55", "f1": "0.28"}
    assert [each["class"] for each in boxes if "fill-opacity" not in each] == ["bar s0"]


def test_no_change_has_no_colour() -> None:
    drawing = heat_map(["a"], ["b"], [[HeatCell(0.0, "+0.0")]], "title")
    assert 'fill-opacity="0.00"' in drawing
