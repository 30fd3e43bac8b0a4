"""Count what a run computes: its pairs by length, its largest part, its tokens."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.batching import EncodedPair
from clairkit.batching.collate import Form, PairCollator, Part
from clairkit.errors import UsageError
from clairkit.training.config import TrainConfig
from clairkit.training.preflight import step_tokens

# Batches that are looked at for the largest part; a longer run sees no much larger one.
_BATCHES = 2000
_DEFAULT_BATCH = 8  # of transformers.TrainingArguments


@dataclass(frozen=True)
class Work:
    """The parts and tokens of a run."""

    part: Part  # the largest part of any batch
    others: tuple[Part, ...]  # up to two parts that come with it in a batch
    reference_part: Part  # the largest part of the reference's forwards
    limit: int | None  # most tokens of a part that holds more than a pair
    largest_pair: int  # tokens of the largest pair
    single: bool
    """Whether every step is one part, so that no gradients are there before its backward."""
    pairs: int
    tokens: int  # tokens through the model in one pass over all pairs, padding included
    scored: int  # of them, those whose logits count
    steps: int
    epochs: float
    parts_a_step: float

    @property
    def part_tokens(self) -> int:
        return self.part.input_tokens


def work_of(pairs: Sequence[EncodedPair], config: TrainConfig, form: Form, device: str) -> Work:
    """Return what a run over these pairs computes, on a kind of device.

    The order of a run depends on its seed. The largest part is the largest of as many batches as
    the run has, drawn at random, and of the batch of the longest pairs.

    Args:
        pairs: of the run, encoded.
        config: of the run.
        form: how sequences are put together.
        device: its kind, `cpu` or `cuda`.
    """
    tokens = step_tokens(config, device)
    collate = PairCollator(0, form, config.share_prompt, tokens)
    get = config.arguments.get
    size = int(get("per_device_train_batch_size", _DEFAULT_BATCH))
    accumulation = int(get("gradient_accumulation_steps", 1))
    batches = math.ceil(len(pairs) / size)
    steps = int(get("max_steps", -1))
    if steps < 1:
        steps = math.ceil(batches / accumulation * float(get("num_train_epochs", 3.0)))
    best: tuple[int, list[EncodedPair], list[list[int]], int] = (0, [], [], 0)
    total, counted, scored, count = 0, 0, 0, 0
    for batch in _drawn(pairs, size, min(steps * accumulation, _BATCHES), collate):
        parts = collate.split(batch)
        count += len(parts)
        counted += 1
        for at, index in enumerate(parts):
            members = [batch[i] for i in index]
            sizes = [collate.size(pair) for pair in members]
            taken = sum(sizes) if form == "packed" else max(sizes) * len(members)
            total += taken
            scored += sum(len(p.chosen_ids) + len(p.rejected_ids) for p in members)
            best = max(best, (taken, batch, parts, at), key=lambda found: found[0])
    _, batch, parts, place = best
    made = [collate.part(batch, index) for at, index in enumerate(parts) if at != place][:2]
    part = collate.part(batch, parts[place])
    seen = counted * min(size, len(pairs))
    return Work(
        part=part,
        others=tuple(made),
        reference_part=_reference_part(pairs, collate, config),
        limit=tokens,
        largest_pair=max(map(collate.size, pairs)),
        single=accumulation == 1 and count == counted,
        pairs=len(pairs),
        tokens=round(total / seen * len(pairs)),
        scored=round(scored / seen * len(pairs)),
        steps=steps,
        epochs=steps * accumulation / batches,
        parts_a_step=count / counted * accumulation,
    )


def _reference_part(
    pairs: Sequence[EncodedPair], collate: PairCollator, config: TrainConfig
) -> Part:
    """Return the largest part that the reference's forwards take: those of the longest pairs."""
    size = int(config.arguments.get("per_device_eval_batch_size", _DEFAULT_BATCH))
    longest = sorted(pairs, key=collate.size, reverse=True)[:size]
    parts = collate(longest)
    return max(parts, key=lambda part: part.input_tokens)


def _drawn(
    pairs: Sequence[EncodedPair], size: int, count: int, collate: PairCollator
) -> list[list[EncodedPair]]:
    generator = random.Random(0)  # the same plan every time
    batches: list[list[EncodedPair]] = []
    while len(batches) < max(count, 1):
        order = generator.sample(range(len(pairs)), len(pairs))
        whole = range(0, len(order) - size + 1, size) if len(order) >= size else range(1)
        batches += [[pairs[i] for i in order[start : start + size]] for start in whole]
    longest = sorted(pairs, key=collate.size, reverse=True)[:size]
    return [*batches[: max(count, 1)], longest]


def pairs_of_lengths(text: str, count: int) -> list[EncodedPair]:
    """Return `count` pairs of the lengths that a text PROMPT,CHOSEN,REJECTED names.

    Raises:
        UsageError: the text is no three positive numbers.
    """
    words = text.split(",")
    if len(words) != 3 or not all(word.strip().isdigit() and int(word) for word in words):
        remedy = "pass tokens as PROMPT,CHOSEN,REJECTED, for instance 512,300,250"
        raise UsageError("--lengths takes three numbers", received=text, remedy=remedy)
    if count < 1:
        raise UsageError("--rows must be at least 1", received=count)
    prompt, chosen, rejected = map(int, words)
    return [EncodedPair(str(at), [1] * prompt, [2] * chosen, [3] * rejected) for at in range(count)]
