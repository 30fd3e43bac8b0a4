"""Draw line and area charts as inline SVG, without scripts or other packages."""

from clairkit.charts.draw import area_chart, line_chart
from clairkit.charts.model import Chart, Point, Series
from clairkit.charts.style import STYLE

__all__ = ["STYLE", "Chart", "Point", "Series", "area_chart", "line_chart"]
