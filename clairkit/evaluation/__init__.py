"""Held-out evaluation: answers checked by program, proportions with honest intervals."""

from clairkit.evaluation.asking import Answerer
from clairkit.evaluation.checks import Check, load_check, score_answer
from clairkit.evaluation.station import AnswerRow, Evaluation, compare, evaluate
from clairkit.evaluation.wording import sentence
from clairkit.intervals import Difference, Interval, paired_difference, wilson

__all__ = [
    "AnswerRow",
    "Answerer",
    "Check",
    "Difference",
    "Evaluation",
    "Interval",
    "compare",
    "evaluate",
    "load_check",
    "paired_difference",
    "score_answer",
    "sentence",
    "wilson",
]
