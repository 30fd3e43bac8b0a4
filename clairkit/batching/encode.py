"""Pairs to token ids: prompt, chosen and rejected, with what did not fit counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from clairkit.batching.chat import ChatEncoder, Encoded
from clairkit.batching.truncate import TRUNCATIONS, Cut, Truncation, edit_window, keep_start
from clairkit.errors import DataError
from clairkit.records import Pair

__all__ = [
    "TRUNCATIONS",
    "EncodedPair",
    "EncodedPairs",
    "Truncation",
    "encode_pair",
    "encode_pairs",
]

BOTH = ("chosen", "rejected")
_NOTHING = Encoded([], [])


@dataclass(frozen=True)
class EncodedPair:
    """A pair as token ids; each response ends with its end-of-turn token unless a side was cut.

    A side that is absent has no ids; one that is there has at least one.
    """

    id: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


@dataclass
class EncodedPairs:
    """The encoded pairs in file order, and how many pairs something happened to.

    Dropped: `too_long`, `identical`, `identical_after_truncation`, `unneeded` (the one side it
    has is not read by the loss). Kept: `truncated`, and of these `end_dropped` and
    `edits_cut` (see `Cut`); `only_chosen`, `only_rejected`; `realigned` (prompt/response boundary),
    `special_text` (special tokens spelt in a text). `rows` are all. `sources` counts the pairs
    that were kept by `Pair.source`.
    """

    pairs: list[EncodedPair] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    prompts: set[int] = field(default_factory=set)
    """Digests of the prompts, where the reader took them; see `clairkit.records.leakage`."""


def encode_pairs(
    pairs: Iterable[Pair],
    encoder: ChatEncoder,
    *,
    max_length: int | None = None,
    truncation: Truncation = "drop",
    needs: Sequence[str] = BOTH,
) -> EncodedPairs:
    """Encode every pair; drop those that are too long or whose two sides are the same.

    Args:
        pairs: the pairs.
        encoder: of the model's tokenizer.
        max_length: tokens of prompt and response together, None for no limit.
        truncation: what a longer pair gets: an error, or it is dropped, or the ends of its
            responses are cut at max_length (keep_start) or after the last edit that fits
            (edit_window). The prompt is never cut.
        needs: the sides that the loss reads of each pair, see `clairkit.losses.LossMix.needs`.

    Raises:
        DataError: a pair is too long under "error", can't be rendered, or has one side where the
            loss needs both; or no pair is left.
    """
    result = EncodedPairs()
    refused: Counter[str] = Counter()
    for pair in pairs:
        result.counts["rows"] += 1
        absent = _absent_side(pair)
        if absent in needs:
            refused[absent] += 1
            continue
        encoded = encode_pair(
            pair, encoder, result.counts, max_length=max_length, truncation=truncation
        )
        if encoded is None:
            continue
        result.pairs.append(encoded)
        result.sources[pair.source] += 1
        if absent:
            result.counts["only_chosen" if absent == "rejected" else "only_rejected"] += 1
    if refused and set(needs) == set(BOTH):
        raise _one_sided(refused, result.counts["rows"])
    result.counts["unneeded"] = refused.total()
    if not result.pairs:
        raise _none_left(result.counts, max_length)
    return result


def encode_pair(
    pair: Pair,
    encoder: ChatEncoder,
    counts: Counter[str],
    *,
    max_length: int | None = None,
    truncation: Truncation = "drop",
) -> EncodedPair | None:
    """Encode one pair as `encode_pairs` does; None when it is dropped, `counts` then says why.

    Raises:
        DataError: it is too long under "error", or can't be rendered.
    """
    sides = _encode(pair, encoder, counts)
    return _fit(pair.id, sides, max_length, truncation, counts)


def _absent_side(pair: Pair) -> str:
    """Return the side that an only one leaves out, "" for a pair of two."""
    if pair.chosen and pair.rejected:
        return ""
    if not (pair.chosen or pair.rejected):
        raise DataError(f"pair {pair.id} has neither chosen nor rejected")
    return "rejected" if pair.chosen else "chosen"


def _encode(pair: Pair, encoder: ChatEncoder, counts: Counter[str]) -> list[Encoded]:
    """Return both sides; an absent one has no response."""
    try:
        sides = [encoder.response(pair.prompt, side) if side else _NOTHING
                 for side in (pair.chosen, pair.rejected)]  # fmt: skip
    except DataError as error:
        raise DataError(f"pair {pair.id}: {error.problem}", remedy=error.remedy) from error
    for name in ("realigned", "special_text"):
        counts[name] += any(getattr(side, name) for side in sides)
    return sides


def _fit(
    pair_id: str,
    sides: list[Encoded],
    max_length: int | None,
    truncation: Truncation,
    counts: Counter[str],
) -> EncodedPair | None:
    prompt_ids = sides[0].prompt_ids or sides[1].prompt_ids
    chosen, rejected = (side.response_ids for side in sides)
    if chosen == rejected:
        counts["identical"] += 1
        return None
    longest = len(prompt_ids) + max(len(chosen), len(rejected))
    if max_length is not None and longest > max_length:
        if truncation == "error":
            raise DataError(
                f"pair {pair_id} has {longest} tokens, more than max_length {max_length}",
                remedy="raise max_length, or set truncation to drop, keep_start or edit_window",
            )
        cut = _cut(chosen, rejected, max_length - len(prompt_ids), truncation)
        if cut is None:
            counts["too_long"] += 1
            return None
        chosen, rejected = chosen[: cut.chosen], rejected[: cut.rejected]
        if chosen == rejected:
            counts["identical_after_truncation"] += 1
            return None
        counts["truncated"] += 1
        counts["end_dropped"] += cut.end_dropped
        counts["edits_cut"] += cut.edits_cut
    return EncodedPair(pair_id, prompt_ids, chosen, rejected)


def _cut(chosen: list[int], rejected: list[int], room: int, truncation: Truncation) -> Cut | None:
    if truncation == "drop" or room < 1:
        return None
    cut = edit_window if truncation == "edit_window" else keep_start
    return cut(chosen, rejected, room)


def _one_sided(refused: Counter[str], rows: int) -> DataError:
    return DataError(
        f"the loss needs both sides of a pair, and {refused.total()} of {rows} rows have one: "
        f"{refused['rejected']} only chosen, {refused['chosen']} only rejected",
        remedy="train with --loss apo_zero_unpaired, or leave these rows out",
    )


def _none_left(counts: Counter[str], max_length: int | None) -> DataError:
    if not counts["rows"]:
        return DataError("0 pairs to train on")
    reasons = [f"{counts['too_long']} longer than max_length {max_length} tokens",
               f"{counts['identical']} with identical sides"]  # fmt: skip
    if counts["identical_after_truncation"]:
        reasons.append(f"{counts['identical_after_truncation']} identical up to max_length")
    if counts["unneeded"]:
        reasons.append(f"{counts['unneeded']} without the side that the loss reads")
    return DataError(
        f"0 of {counts['rows']} pairs left: {', '.join(reasons)}",
        remedy="raise max_length, or look at the pairs with `clairkit score`",
    )
