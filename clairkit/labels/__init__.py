"""Ask people: the blind page, its key, the votes that come back, and what they show."""

from clairkit.labels.collect import Votes, collect
from clairkit.labels.draw import LabelPlan, draw
from clairkit.labels.items import Item, read_gold, read_items
from clairkit.labels.key import Key, read_key
from clairkit.labels.page import make_page
from clairkit.labels.raters import Rater, assess
from clairkit.labels.standing import Standing, agreement, weigh
from clairkit.labels.vote_files import Vote, read_votes

__all__ = [
    "Item",
    "Key",
    "LabelPlan",
    "Rater",
    "Standing",
    "Vote",
    "Votes",
    "agreement",
    "assess",
    "collect",
    "draw",
    "make_page",
    "read_gold",
    "read_items",
    "read_key",
    "read_votes",
    "weigh",
]
