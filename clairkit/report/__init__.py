"""Make one HTML page, for people: about pairs and runs, or about an evaluation."""

from clairkit.report.eval_page import make_evaluation_page
from clairkit.report.gather import Gathered, gather, gather_evaluation
from clairkit.report.language import LANGUAGES, language
from clairkit.report.page import Page, make_page

__all__ = [
    "LANGUAGES",
    "Gathered",
    "Page",
    "gather",
    "gather_evaluation",
    "language",
    "make_evaluation_page",
    "make_page",
]
