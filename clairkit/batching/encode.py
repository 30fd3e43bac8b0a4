"""Encode pairs as token ids, with what did not fit counted by reason."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from clairkit.batching.chat import ChatEncoder, Encoded
from clairkit.batching.foreign import Spans
from clairkit.choices import Thoughts, Truncation
from clairkit.errors import DataError
from clairkit.records import Pair
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import pair_without_thoughts
from clairkit.scoring import Alignment, align

CONTEXT = 16
"""Shared tokens that edit_window keeps after the last edit, where there is room for them."""

BOTH = ("chosen", "rejected")
AS_TOKEN, AS_TEXT = "as token ", "as text "
"""How the counts of pairs begin that spell a special token, by how it was encoded."""
_NOTHING = Encoded([], [])


@dataclass(frozen=True)
class Cut:
    """How many tokens each response keeps.

    `end_dropped` tells that one response fitted and lost its end token all the same,
    `edits_cut` that an edit, or a part of one, was cut off (known for edit_window alone).
    """

    chosen: int
    rejected: int
    end_dropped: bool = False
    edits_cut: bool = False


def keep_start(chosen_ids: Sequence[int], rejected_ids: Sequence[int], room: int) -> Cut | None:
    """Cut each response at `room` tokens; None when one has nothing left.

    When just one of them is cut, the other one's end token goes, too: an end of turn on one side
    alone would be what tells the sides apart, and the model would learn when to stop from it.
    """
    return _symmetric(chosen_ids, rejected_ids, (room, room))


def edit_window(chosen_ids: Sequence[int], rejected_ids: Sequence[int], room: int) -> Cut | None:
    """Cut both responses after the last edit span that fits into `room` tokens on both sides.

    Up to `CONTEXT` tokens that both sides share after it are kept. Where the first span alone is
    longer than the room, both are cut there, within it. End tokens are treated as by `keep_start`.

    Returns:
        None when the edits begin beyond the room, or a response has nothing left.
    """
    if not (chosen_ids and rejected_ids):
        return keep_start(chosen_ids, rejected_ids, room)
    spans = align(rejected_ids, chosen_ids).spans
    fitting = sum(max(span.chosen_end, span.rejected_end) <= room for span in spans)
    if not fitting:
        begins_beyond = not spans or spans[0].chosen_start >= room  # where it begins on both sides
        window = None if begins_beyond else (room, room)
    else:
        last = spans[fitting - 1]
        following = spans[fitting].chosen_start if fitting < len(spans) else len(chosen_ids)
        shared = following - last.chosen_end
        context = min(CONTEXT, shared, room - max(last.chosen_end, last.rejected_end))
        window = last.chosen_end + context, last.rejected_end + context
    if window is None:
        return None
    return _symmetric(chosen_ids, rejected_ids, window, edits_cut=fitting < len(spans))


def _symmetric(
    chosen_ids: Sequence[int],
    rejected_ids: Sequence[int],
    window: tuple[int, int],
    *,
    edits_cut: bool = False,
) -> Cut | None:
    """Cut at `window`; if a response is cut and the other is whole, take the latter's end token."""
    sizes = len(chosen_ids), len(rejected_ids)
    kept = [min(size, end) for size, end in zip(sizes, window, strict=True)]
    whole = [side for side in (0, 1) if kept[side] == sizes[side] > 0]
    end_dropped = len(whole) == 1 and min(sizes) > 0
    if end_dropped:
        kept[whole[0]] -= 1
    if any(size and not left for size, left in zip(sizes, kept, strict=True)):
        return None
    return Cut(kept[0], kept[1], end_dropped, edits_cut)


class Unrenderable(DataError):
    """The chat template does not take a pair's conversation."""


@dataclass(frozen=True)
class EncodedPair:
    """A pair as token ids; each response ends with its end-of-turn token unless a side was cut.

    A side that is absent has no ids; one that is there has at least one.
    """

    id: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    foreign: tuple[Spans, Spans] = ((), ())
    """Tokens of chosen and of rejected that are not trained on: of turns of others."""

    @functools.cached_property
    def alignment(self) -> Alignment:
        """What differs between both sides' tokens, found once: long sides take their time."""
        return align(self.rejected_ids, self.chosen_ids)


@dataclass
class EncodedPairs:
    """The encoded pairs in file order, and how many pairs something happened to.

    Dropped: `too_long`, `identical`, `identical_but_thoughts`, `identical_after_truncation`,
    `unneeded` (the one side it has is not read by the loss). Kept: `truncated`, and of these
    `end_dropped` and `edits_cut` (see `Cut`); `only_chosen`, `only_rejected`; `realigned`
    (prompt/response boundary),
    `special_text` (special tokens spelt in a text, encoded as text; for each token there are
    counts under `AS_TEXT` and `AS_TOKEN` with its name), `thoughts` (left out of a side) or
    `thoughts_kept`. Dropped is a pair with a side of nothing but thoughts (`only_thoughts`).
    `rows` are all. `sources` counts the pairs that were kept by `Pair.source`.
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
    thoughts: Thoughts = "drop",
    skip_bad: bool = False,
    assistant_only: bool = False,
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
        thoughts: what an answer's thoughts get: they are left out, or encoded with the answer.
        assistant_only: mark what is not the assistant's within a side as foreign.
        skip_bad: leave out pairs that the chat template refuses, and count them as `refused`.

    Raises:
        DataError: a pair is too long under "error", or has one side where the loss needs both;
            pairs can't be rendered, and are not to be skipped; or no pair is left.
    """
    result = EncodedPairs()
    one_sided: Counter[str] = Counter()
    first_refused: Unrenderable | None = None
    for pair in pairs:
        result.counts["rows"] += 1
        absent = _absent_side(pair)
        if absent in needs:
            one_sided[absent] += 1
            continue
        try:
            encoded = encode_pair(
                pair,
                encoder,
                result.counts,
                max_length=max_length,
                truncation=truncation,
                thoughts=thoughts,
                assistant_only=assistant_only,
            )
        except Unrenderable as error:
            result.counts["refused"] += 1
            first_refused = first_refused or error
            continue
        if encoded is None:
            continue
        result.pairs.append(encoded)
        result.sources[pair.source] += 1
        if absent:
            result.counts["only_chosen" if absent == "rejected" else "only_rejected"] += 1
    if one_sided and set(needs) == set(BOTH):
        raise DataError(
            f"the loss needs both sides of a pair, and {one_sided.total()} of "
            f"{result.counts['rows']} rows have one: {one_sided['rejected']} only chosen, "
            f"{one_sided['chosen']} only rejected",
            remedy="train with --loss apo_zero_unpaired, or leave these rows out",
        )
    result.counts["unneeded"] = one_sided.total()
    if first_refused is not None and not (skip_bad and result.pairs):
        raise _refused(first_refused, result.counts)
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
    thoughts: Thoughts = "drop",
    assistant_only: bool = False,
) -> EncodedPair | None:
    """Encode one pair as `encode_pairs` does; None when it is dropped, `counts` then says why.

    Raises:
        DataError: it is too long under "error".
        Unrenderable: the chat template does not take it.
    """
    answers, had = pair_without_thoughts(pair)
    if had:
        counts["thoughts" if thoughts == "drop" else "thoughts_kept"] += 1
    if had and thoughts == "drop":
        if answers.chosen == answers.rejected and pair.chosen != pair.rejected:
            counts["identical_but_thoughts"] += 1
            return None
        pair = answers
        if any(_is_empty(side[-1]) for side in (pair.chosen, pair.rejected) if side):
            counts["only_thoughts"] += 1
            return None
    sides = _encode(pair, encoder, counts)
    fitting = _fit(pair.id, sides, max_length, truncation, counts)
    if fitting is None or not assistant_only:
        return fitting
    return replace(fitting, foreign=_foreign(pair.id, sides, len(fitting.prompt_ids)))


def _is_empty(turn: JsonMapping) -> bool:
    return not (turn["content"] or "").strip() and not turn.get("tool_calls")


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
        sides = [
            encoder.response(pair.prompt, side) if side else _NOTHING
            for side in (pair.chosen, pair.rejected)
        ]
    except DataError as error:
        raise Unrenderable(f"pair {pair.id}: {error.problem}", remedy=error.remedy) from error
    for name in ("realigned", "special_text"):
        counts[name] += any(getattr(side, name) for side in sides)
    for begin, name in ((AS_TOKEN, "as_tokens"), (AS_TEXT, "as_text")):
        for token in frozenset().union(*(getattr(side, name) for side in sides)):
            counts[f"{begin}{token}"] += 1
    return sides


def _fit(
    pair_id: str,
    sides: list[Encoded],
    max_length: int | None,
    truncation: Truncation,
    counts: Counter[str],
) -> EncodedPair | None:
    prompt_ids, chosen, rejected = _with_one_prompt(pair_id, sides)
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


def _foreign(pair_id: str, sides: list[Encoded], prompt: int) -> tuple[Spans, Spans]:
    """Return the turns of others in both sides; all may stand behind the prompt they share."""
    found: list[Spans] = []
    for side in sides:
        if side.foreign is None:
            raise Unrenderable(
                f"pair {pair_id}: the chat template does not render its turns one after the other, "
                "so that the assistant's can't be told apart",
                remedy="set assistant_only_loss: false",
            )
        shift = len(side.prompt_ids) - prompt if side.response_ids else 0
        found.append(tuple((start + shift, end + shift) for start, end in side.foreign))
    return found[0], found[1]


def _with_one_prompt(pair_id: str, sides: list[Encoded]) -> tuple[list[int], list[int], list[int]]:
    """Return the prompt that both sides share, and what follows it on each.

    A template may open thoughts before one side alone: then they are a part of that side.
    """
    first, second = (side.prompt_ids for side in sides)
    prompt = min((ids for ids in (first, second) if ids), key=len)
    if any(ids and ids[: len(prompt)] != prompt for ids in (first, second)):
        raise Unrenderable(
            f"pair {pair_id}: the chat template renders a prompt for each side",
            remedy="set thoughts to drop",
        )
    chosen, rejected = (side.prompt_ids[len(prompt) :] + side.response_ids for side in sides)
    return prompt, chosen, rejected


def _cut(chosen: list[int], rejected: list[int], room: int, truncation: Truncation) -> Cut | None:
    if truncation == "drop" or room < 1:
        return None
    cut = edit_window if truncation == "edit_window" else keep_start
    return cut(chosen, rejected, room)


def _refused(first: Unrenderable, counts: Counter[str]) -> DataError:
    """Tell of all pairs that can't be rendered, by the first of them."""
    number, rows = counts["refused"], counts["rows"]
    told = "" if rows == 1 else f"{number} of {rows} pairs can't be rendered; the first, "
    remedy = first.remedy or ""
    if number < rows:
        remedy = ", or ".join(filter(None, (remedy, "leave such rows out with --skip-bad")))
    return DataError(f"{told}{first.problem}", remedy=remedy)


def _none_left(counts: Counter[str], max_length: int | None) -> DataError:
    if not counts["rows"]:
        return DataError("0 pairs to train on")
    reasons = [
        f"{counts['too_long']} longer than max_length {max_length} tokens",
        f"{counts['identical']} with identical sides",
    ]
    if counts["identical_but_thoughts"]:
        number = counts["identical_but_thoughts"]
        reasons.append(f"{number} with sides that differ in their thoughts alone")
    if counts["identical_after_truncation"]:
        reasons.append(f"{counts['identical_after_truncation']} identical up to max_length")
    if counts["only_thoughts"]:
        reasons.append(f"{counts['only_thoughts']} with a side of nothing but thoughts")
    if counts["unneeded"]:
        reasons.append(f"{counts['unneeded']} without the side that the loss reads")
    return DataError(
        f"0 of {counts['rows']} pairs left: {', '.join(reasons)}",
        remedy="set thoughts: keep"
        if counts["identical_but_thoughts"]
        else "raise max_length, or look at the pairs with `clairkit score`",
    )
