"""Measure what the two sides of a pair differ in: units, edit spans, scores, tables and filters."""

from clairkit.scoring.checks import Checks, prompt_digests
from clairkit.scoring.compare import ComparedSet, Comparison, MeanRow, compare_sets
from clairkit.scoring.copies import BenchmarkIndex
from clairkit.scoring.many import (
    REASONS,
    ScoredPairs,
    default_workers,
    drop_reason,
    parse_reasons,
    score_pairs,
)
from clairkit.scoring.pair_scores import FLAGS, Contrast, PairScores, contrast_of, score_pair
from clairkit.scoring.spans import Alignment, EditSpan, align, clean_up
from clairkit.scoring.summary import (
    METRICS,
    SLICE_METRICS,
    Slice,
    SummaryRow,
    check_column,
    count_flags,
    label_of,
    slice_means,
    summarise,
)
from clairkit.scoring.units import load_tokenizer, text_of, units_of

__all__ = [
    "FLAGS",
    "METRICS",
    "REASONS",
    "SLICE_METRICS",
    "Alignment",
    "BenchmarkIndex",
    "Checks",
    "ComparedSet",
    "Comparison",
    "Contrast",
    "EditSpan",
    "MeanRow",
    "PairScores",
    "ScoredPairs",
    "Slice",
    "SummaryRow",
    "align",
    "check_column",
    "clean_up",
    "compare_sets",
    "contrast_of",
    "count_flags",
    "default_workers",
    "drop_reason",
    "label_of",
    "load_tokenizer",
    "parse_reasons",
    "prompt_digests",
    "score_pair",
    "score_pairs",
    "slice_means",
    "summarise",
    "text_of",
    "units_of",
]
