"""Score one pair: what differs between its two sides, as numbers and flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from clairkit.records.json_types import JsonObject
from clairkit.scoring.spans import Alignment, align, clean_up
from clairkit.scoring.units import (
    Text,
    Tokenizer,
    Units,
    all_units,
    answers_of,
    roles_of,
    same_text,
    text_of,
    unit_name,
)

FLAGS = {
    "identical": "both sides have the same units",
    "whitespace_only": "not identical, but only white space or the Unicode normal form differs",
    "empty_chosen": "chosen holds nothing but white space",
    "empty_rejected": "rejected holds nothing but white space",
    "one_unit": "a side has exactly one unit",
    "disjoint": "both sides have units and share none in order: similarity 0",
    "turns_differ": "the sides differ in the number or the roles of their messages",
    "thoughts": "a side has thoughts before its answer; they are left out of all scores",
    "approximate": "too long to align exactly: similarity may be too low, edit shares too high",
    "duplicate": "another pair, first by id, has the same prompt and sides",
    "near_duplicate": "another pair, first by id, has nearly the same texts",
    "in_eval": "its prompt is in the evaluation set",
    "contaminated": "it holds text of a benchmark",
    "length_outlier": "its length ratio lies far from the others'",
    "edit_outlier": "its edit share lies far from the others'",
}
"""What a flag of `PairScores` says, by its name, in the order in which flags are listed.

Those from `duplicate` on compare a pair with others: `score_pairs` sets them, `score_pair` cannot.
"""
DEAD = frozenset({"identical", "whitespace_only"})
"""Flags of pairs that teach nothing: no unit differs, or white space and normal form alone."""


@dataclass(frozen=True)
class Contrast:
    """A pair's contrastiveness and its parts, each in [0, 1].

    Attributes:
        length_balance: 2 min(n_W, n_L) / (n_W + n_L): what share both sides could have in common
            at their lengths; 1 when both are empty.
        overlap: units that are equal on both sides, in order, after clean-up, as a share of the
            shorter side; 0 when a side is empty.
        contrastiveness: their product, which is the share of all units of the pair that both
            sides have in common; 0 when nothing differs.
    """

    length_balance: float
    overlap: float
    contrastiveness: float


def contrast_of(shared: int, chosen: int, rejected: int, *, differs: bool) -> Contrast:
    """Return the contrastiveness of a pair with its parts.

    Args:
        shared: equal units outside of the cleaned edit spans.
        chosen: units of chosen, n_W.
        rejected: units of rejected, n_L.
        differs: whether the sides differ in more than white space: a pair that does not shows no
            preference, however much it shares.
    """
    shorter, both = min(chosen, rejected), chosen + rejected
    balance = 2 * shorter / both if both else 1.0
    overlap = shared / shorter if shorter else 0.0
    return Contrast(balance, overlap, 2 * shared / both if differs and both else 0.0)


@dataclass(frozen=True)
class PairScores:
    """How two sides differ. W are the units of chosen, L those of rejected, n_W and n_L how many.

    Lengths and spans count units, everything else has none. All values are the same, or change
    places, when chosen and rejected do; `length_ratio` becomes its reciprocal.

    Attributes:
        unit: "token" (of the tokenizer named) or "grapheme" (extended grapheme cluster).
        tokenizer: the tokenizer's name or path; None for graphemes.
        prompt_length: units of the prompt's text.
        chosen_length: n_W.
        rejected_length: n_L.
        jaccard_set: |W n L| / |W u L| over the sets of units, in [0, 1]; 1 when both are empty.
        jaccard_multiset: the same over multisets, sum of min over sum of max of the counts,
            in [0, 1]; 1 when both are empty. Unlike the former it sees repetitions.
        indel_similarity: 2 m / (n_W + n_L), in [0, 1], where m is the length of a longest common
            subsequence; 1 when both are empty. Equal to 1 - (deleted + inserted) / (n_W + n_L).
        edit_share_chosen: (n_W - m) / n_W, in [0, 1]: the share of chosen that lies in edit
            spans; 0 when chosen is empty.
        edit_share_rejected: (n_L - m) / n_L, likewise.
        edit_spans: stretches of difference, each between two stretches (or ends) that are equal.
        span_length_mean: mean of deleted plus inserted units over the spans; 0 without spans.
        span_length_max: the largest of these; 0 without spans.
        common_prefix_share: units both sides begin with / max(n_W, n_L), in [0, 1]: relative to
            the longer side, so it is 1 for identical sides only; 1 when both are empty.
        length_ratio: n_W / n_L, 0 or more; 1 when both are empty, None when only rejected is.
        clean_edit_spans: the edit spans after clean-up, see `clairkit.scoring.clean_up`: tiny
            equal stretches between edits are part of the edit.
        clean_span_length_mean: mean of deleted plus inserted units over these; 0 without spans.
        clean_edit_share_chosen: the share of chosen that lies in these, at least the raw one.
        clean_edit_share_rejected: likewise.
        length_balance: 2 min(n_W, n_L) / (n_W + n_L), in [0, 1]; 1 when both are empty.
        overlap: units outside of the cleaned spans / min(n_W, n_L), in [0, 1]; 0 for an empty side.
        contrastiveness: length_balance x overlap, in [0, 1]; 0 when the pair is `identical` or
            `whitespace_only`. See `clairkit.scoring.contrast_of`.
        flags: names out of `FLAGS`, in its order.
    """

    unit: str
    tokenizer: str | None
    prompt_length: int
    chosen_length: int
    rejected_length: int
    jaccard_set: float
    jaccard_multiset: float
    indel_similarity: float
    edit_share_chosen: float
    edit_share_rejected: float
    edit_spans: int
    span_length_mean: float
    span_length_max: int
    common_prefix_share: float
    length_ratio: float | None
    clean_edit_spans: int
    clean_span_length_mean: float
    clean_edit_share_chosen: float
    clean_edit_share_rejected: float
    length_balance: float
    overlap: float
    contrastiveness: float
    flags: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the scores as the object that goes into a pair's `scores`."""
        return {**asdict(self), "flags": list(self.flags)}


def score_pair(
    prompt: Text, chosen: Text, rejected: Text, tokenizer: Tokenizer | None = None
) -> PairScores:
    """Return the scores of one pair; see `PairScores` for what each means.

    Takes under a second for sides of 100,000 units: beyond 20,000 differing units a side or so,
    the alignment is no longer exact, and the scores carry the flag `approximate`.

    Args:
        prompt: a text or messages; only its length counts.
        chosen: a text or messages; several are compared as one text, a line apart. Thoughts
            before an answer are left out (see `clairkit.records.thoughts`).
        rejected: as `chosen`.
        tokenizer: a transformers tokenizer, or None to count grapheme clusters.

    Raises:
        DataError: a pair has more than a million different units.
    """
    answers = answers_of(chosen), answers_of(rejected)
    texts = [text_of(side) for side in (prompt, *answers)]
    prompts, ours, theirs = all_units(texts, tokenizer)
    return score_units(
        *answers,
        ours,
        theirs,
        unit=unit_name(tokenizer),
        prompt_length=len(prompts),
        thoughts=answers != (chosen, rejected),
    )


def score_units(
    chosen: Text,
    rejected: Text,
    ours: Units,
    theirs: Units,
    *,
    unit: tuple[str, str | None],
    prompt_length: int,
    thoughts: bool = False,
) -> PairScores:
    """Return the scores of one pair whose sides' units are known, as `score_pair` does.

    Args:
        chosen: the texts or messages, for the flags.
        rejected: likewise.
        ours: units of chosen.
        theirs: units of rejected.
        unit: the unit's name and the tokenizer's, as `unit_name` gives them.
        prompt_length: units of the prompt.
        thoughts: whether thoughts were left out of a side.
    """
    alignment = align(theirs, ours)
    flags = {
        *_unit_flags(ours, theirs, alignment),
        *_text_flags(text_of(chosen), text_of(rejected)),
    }
    if "identical" in flags:
        flags.discard("whitespace_only")  # a tokenizer that normalises saw no difference
    if roles_of(chosen) != roles_of(rejected):
        flags.add("turns_differ")
    if thoughts:
        flags.add("thoughts")
    name, tokenizer = unit
    return PairScores(
        unit=name,
        tokenizer=tokenizer,
        prompt_length=prompt_length,
        flags=tuple(flag for flag in FLAGS if flag in flags),
        **_measures(ours, theirs, alignment),
        **_cleaned(ours, theirs, alignment, differs=not flags & DEAD),
    )


def _measures(ours: Units, theirs: Units, alignment: Alignment) -> JsonObject:
    lengths = [span.length for span in alignment.spans]
    deleted, inserted = alignment.deleted, alignment.inserted
    jaccard_set, jaccard_multiset = _jaccards(ours, theirs)
    longer = max(len(ours), len(theirs))
    return {
        "chosen_length": len(ours),
        "rejected_length": len(theirs),
        "jaccard_set": jaccard_set,
        "jaccard_multiset": jaccard_multiset,
        "indel_similarity": 1 - _share(deleted + inserted, len(ours) + len(theirs)),
        "edit_share_chosen": _share(inserted, len(ours)),
        "edit_share_rejected": _share(deleted, len(theirs)),
        "edit_spans": len(lengths),
        "span_length_mean": _share(sum(lengths), len(lengths)),
        "span_length_max": max(lengths, default=0),
        "common_prefix_share": _share(alignment.common_prefix, longer, empty=1.0),
        "length_ratio": len(ours) / len(theirs) if theirs else None if ours else 1.0,
    }


def _cleaned(ours: Units, theirs: Units, alignment: Alignment, *, differs: bool) -> JsonObject:
    cleaned = replace(alignment, spans=clean_up(alignment.spans))
    shared = len(ours) - cleaned.inserted
    return {
        "clean_edit_spans": len(cleaned.spans),
        "clean_span_length_mean": _share(cleaned.deleted + cleaned.inserted, len(cleaned.spans)),
        "clean_edit_share_chosen": _share(cleaned.inserted, len(ours)),
        "clean_edit_share_rejected": _share(cleaned.deleted, len(theirs)),
        **asdict(contrast_of(shared, len(ours), len(theirs), differs=differs)),
    }


def _share(part: int, whole: int, *, empty: float = 0.0) -> float:
    return part / whole if whole else empty


def _jaccards(ours: Units, theirs: Units) -> tuple[float, float]:
    first, second = Counter(ours), Counter(theirs)
    shared, united = first & second, first | second
    return (
        _share(len(shared), len(united), empty=1.0),
        _share(shared.total(), united.total(), empty=1.0),
    )


def _unit_flags(ours: Units, theirs: Units, alignment: Alignment) -> Iterator[str]:
    if not alignment.spans:
        yield "identical"
    if 1 in (len(ours), len(theirs)):
        yield "one_unit"
    if ours and theirs and alignment.deleted == len(theirs):
        yield "disjoint"
    if not alignment.exact:
        yield "approximate"


def _text_flags(chosen: str, rejected: str) -> Iterator[str]:
    if not chosen.strip():
        yield "empty_chosen"
    if not rejected.strip():
        yield "empty_rejected"
    if chosen != rejected and same_text(chosen, rejected):
        yield "whitespace_only"
