"""Read and encode the pairs of a run before any weight is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clairkit.batching import ChatEncoder, EncodedPairs
from clairkit.batching.encode import AS_TEXT, AS_TOKEN
from clairkit.errors import DataError
from clairkit.records import ColumnChoice, Pair, read_pairs
from clairkit.records.leakage import prompt_digest
from clairkit.training.config import TrainConfig
from clairkit.training.encoding import encode_for_training
from clairkit.training.masks import mask_counts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What happened to pairs, in words, in the order in which it is told.
_WORDS = {
    "unreadable": "unreadable, skipped",
    "refused": "refused by the chat template, skipped",
    "too_long": "too long, dropped",
    "identical": "with identical sides, dropped",
    "identical_but_thoughts": "that differ in their thoughts alone, dropped (thoughts: keep trains "
    "on them)",
    "identical_after_truncation": "identical once cut, dropped",
    "unneeded": "without the side that the loss reads, dropped",
    "only_thoughts": "with a side of nothing but thoughts, dropped",
    "thoughts": "with thoughts, which are left out",
    "thoughts_kept": "with thoughts, which are trained on",
    "truncated": "cut at max_length",
    "end_dropped": "of these without an end of turn on either side",
    "edits_cut": "of these with edits cut off",
    "only_chosen": "with a chosen side alone",
    "only_rejected": "with a rejected side alone",
    "no_edit_chosen": "whose chosen side has no edited token",
    "no_edit_rejected": "whose rejected side has no edited token",
    "approximate": "too long to be aligned exactly",
    "realigned": "realigned at the prompt's end",
    "special_text": "with special tokens as text",
}


def read_run_pairs(
    config: TrainConfig, tokenizer: PreTrainedTokenizerBase, say: Callable[[str], None]
) -> tuple[EncodedPairs, EncodedPairs | None]:
    """Return the training pairs and the held-out ones, if any.

    Raises:
        DataError: a row can't be read or encoded, or no pair is left that trains anything.
    """
    encoder = ChatEncoder.of(tokenizer, config.chat)
    prompts: dict[str, set[int]] = {}

    def encode(name: str, source: str) -> EncodedPairs:
        one_sided = not config.mix.needs_both
        stream = read_pairs(
            source, skip_bad=config.skip_bad, one_sided=one_sided, columns=columns_of(config)
        )
        seen = prompts[name] = set()

        def note_prompts() -> Iterator[Pair]:
            for pair in stream:
                seen.add(prompt_digest(pair))
                yield pair

        encoded = encode_for_training(note_prompts(), encoder, config)
        encoded.counts["unreadable"] = sum(stream.skipped.values())
        if config.loss_mask != "all":
            encoded.counts.update(mask_counts(encoded.pairs))
        say(f"{name}: {described(len(encoded.pairs), encoded.counts)}")
        for note in special_notes(encoded.counts):
            say(note)
        _check_edits(config, encoded, say)
        return encoded

    train = encode("Training pairs", config.pairs)
    train.prompts.update(prompts["Training pairs"])
    if config.eval_pairs is None:
        return train, None
    evaluation = encode("Evaluation pairs", config.eval_pairs)
    shared = len(prompts["Training pairs"] & prompts["Evaluation pairs"])
    if shared:
        say(f"Warning: {shared} prompts are in the training and in the evaluation pairs.")
    return train, evaluation


def columns_of(config: TrainConfig) -> ColumnChoice:
    """Return what the columns of the pairs are."""
    return ColumnChoice(config.prompt_column, config.system_column, tuple(config.ignore_column))


def _check_edits(config: TrainConfig, encoded: EncodedPairs, say: Callable[[str], None]) -> None:
    """Tell of pairs whose only side that the loss reads has no token that counts.

    Raises:
        DataError: there are no others.
    """
    shared = config.shared_weight if config.loss_mask == "weighted" else 0.0
    idle = encoded.counts["no_edit_chosen"]  # counted under a mask alone
    if shared or not idle or set(config.mix.needs) != {"chosen"}:
        return
    if idle == len(encoded.pairs):
        raise DataError(
            f"no chosen side has an edited token, and {config.loss} reads nothing else",
            received=f"loss_mask {config.loss_mask}",
            remedy="set loss_mask to all, or add a loss that reads the rejected side",
        )
    say(
        f"Warning: {idle} pairs train nothing: {config.loss} reads the chosen side alone, and "
        "theirs has no edited token."
    )


_TOKENS_SHOWN = 8


def special_notes(counts: Counter[str]) -> list[str]:
    """Return which special tokens the texts spell, and how they were encoded: a line for each."""
    notes = []
    for begin, words in ((AS_TOKEN, "tokens"), (AS_TEXT, "plain text")):
        found = [(key.removeprefix(begin), n) for key, n in counts.items() if key.startswith(begin)]
        found.sort(key=lambda item: (-item[1], item[0]))
        shown = [f"{token} in {count}" for token, count in found[:_TOKENS_SHOWN]]
        if len(found) > len(shown):
            shown.append(f"{len(found) - len(shown)} more")
        if shown:
            notes.append(f"Special tokens in the texts, encoded as {words}: {', '.join(shown)}")
    return notes


def described(kept: int, counts: Counter[str]) -> str:
    """Return how many pairs there are, and what happened to some, in words."""
    notes = [f"{counts[key]} {text}" for key, text in _WORDS.items() if counts[key]]
    return f"{kept} of {counts['rows']}" + (f" ({'; '.join(notes)})" if notes else "")
