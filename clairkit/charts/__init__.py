"""Draw line and area charts as inline SVG, without scripts or other packages."""

from clairkit.charts.draw import STYLE, area_chart, line_chart
from clairkit.charts.model import Chart, Point, Series

__all__ = ["STYLE", "Chart", "Point", "Series", "area_chart", "line_chart"]
