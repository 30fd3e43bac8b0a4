"""One HTML page about pairs and runs, for people: an overview, and a browser of the pairs."""

from clairkit.report.gather import Gathered, gather
from clairkit.report.language import LANGUAGES, language
from clairkit.report.page import Page, make_page

__all__ = ["LANGUAGES", "Gathered", "Page", "gather", "language", "make_page"]
