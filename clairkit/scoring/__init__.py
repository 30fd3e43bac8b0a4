"""What the two sides of a pair differ in: units, edit spans, scores, tables and filters."""

from clairkit.scoring.compare import ComparedSet, Comparison, MeanRow, compare_sets
from clairkit.scoring.filters import REASONS, drop_reason, parse_reasons
from clairkit.scoring.many import ScoredPairs, score_pairs
from clairkit.scoring.pair_scores import FLAGS, PairScores, score_pair
from clairkit.scoring.spans import Alignment, EditSpan, align
from clairkit.scoring.summary import METRICS, SummaryRow, count_flags, summarise
from clairkit.scoring.tokenizers import load_tokenizer
from clairkit.scoring.units import text_of, units_of

__all__ = [
    "FLAGS",
    "METRICS",
    "REASONS",
    "Alignment",
    "ComparedSet",
    "Comparison",
    "EditSpan",
    "MeanRow",
    "PairScores",
    "ScoredPairs",
    "SummaryRow",
    "align",
    "compare_sets",
    "count_flags",
    "drop_reason",
    "load_tokenizer",
    "parse_reasons",
    "score_pair",
    "score_pairs",
    "summarise",
    "text_of",
    "units_of",
]
