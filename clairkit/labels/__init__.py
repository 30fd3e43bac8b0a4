"""Labels that people give: the blind page, its key, the votes that come back, what they show."""

from clairkit.labels.draw import Plan, draw
from clairkit.labels.items import Item, read_gold, read_items
from clairkit.labels.key import Key, read_key
from clairkit.labels.page import make_page

__all__ = ["Item", "Key", "Plan", "draw", "make_page", "read_gold", "read_items", "read_key"]
