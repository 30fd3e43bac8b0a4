"""Pairs to token ids: prompt, chosen and rejected, with what did not fit counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from clairkit.batching.chat import ChatEncoder, Encoded
from clairkit.errors import DataError
from clairkit.records import Pair

Truncation = Literal["error", "drop", "keep_start"]
TRUNCATIONS: tuple[str, ...] = get_args(Truncation)


@dataclass(frozen=True)
class EncodedPair:
    """A pair as token ids; each response ends with its end-of-turn token unless it was cut."""

    id: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


@dataclass
class EncodedPairs:
    """The encoded pairs in file order, and counts: `too_long`, `truncated`, `identical`,
    `realigned` (prompt/response boundary), `special_text` (special tokens spelt in a text)."""

    pairs: list[EncodedPair] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def encode_pairs(
    pairs: Iterable[Pair],
    encoder: ChatEncoder,
    *,
    max_length: int | None = None,
    truncation: Truncation = "drop",
) -> EncodedPairs:
    """Encode every pair; drop those that are too long or whose two sides are the same.

    Args:
        pairs: the pairs.
        encoder: of the model's tokenizer.
        max_length: tokens of prompt and response together, None for no limit.
        truncation: what a longer side gets: an error, its pair dropped, or its end cut off.

    Raises:
        DataError: a pair is too long under "error", can't be rendered, or none is left.
    """
    result = EncodedPairs()
    total = 0
    for total, pair in enumerate(pairs, 1):  # noqa: B007 - the count outlives the loop
        try:
            sides = [encoder.response(pair.prompt, side) for side in (pair.chosen, pair.rejected)]
        except DataError as error:
            raise DataError(f"pair {pair.id}: {error.problem}", remedy=error.remedy) from error
        for name in ("realigned", "special_text"):
            result.counts[name] += any(getattr(side, name) for side in sides)
        encoded = _fit(pair.id, sides, max_length, truncation, result.counts)
        if encoded is not None:
            result.pairs.append(encoded)
    result.counts["rows"] = total
    if not result.pairs:
        raise _none_left(result.counts, max_length)
    return result


def _fit(
    pair_id: str,
    sides: list[Encoded],
    max_length: int | None,
    truncation: Truncation,
    counts: Counter[str],
) -> EncodedPair | None:
    prompt_ids = sides[0].prompt_ids
    responses = [side.response_ids for side in sides]
    longest = len(prompt_ids) + max(map(len, responses))
    if max_length is not None and longest > max_length:
        if truncation == "error":
            raise DataError(
                f"pair {pair_id} has {longest} tokens, more than max_length {max_length}",
                remedy="raise max_length, or set truncation to drop or keep_start",
            )
        room = max_length - len(prompt_ids)
        counts["too_long" if truncation == "drop" or room < 1 else "truncated"] += 1
        if truncation == "drop" or room < 1:
            return None
        responses = [ids[:room] for ids in responses]
    if responses[0] == responses[1]:
        counts["identical"] += 1
        return None
    return EncodedPair(pair_id, prompt_ids, *responses)


def _none_left(counts: Counter[str], max_length: int | None) -> DataError:
    if not counts["rows"]:
        return DataError("0 pairs to train on")
    reasons = f"{counts['too_long']} longer than max_length {max_length} tokens"
    reasons += f", {counts['identical']} with identical sides"
    return DataError(
        f"0 of {counts['rows']} pairs left: {reasons}",
        remedy="raise max_length, or look at the pairs with `clairkit score`",
    )
