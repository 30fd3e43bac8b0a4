"""Held-out evaluation: answers checked by program, proportions with honest intervals."""

from clairkit.evaluation.answering import Answerer
from clairkit.evaluation.checks import Check, load_check, score_answer
from clairkit.evaluation.evaluate import AnswerRow, Evaluation, compare, evaluate, score_change
from clairkit.evaluation.wording import score_sentence, sentence
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
    "score_change",
    "score_sentence",
    "sentence",
    "wilson",
]
