"""Make the quickstart's model again: `python -m clairkit.quickstart.make_model OUT`.

A small Llama learns bills and sums from a corpus that follows the house rules only part of the
time, so that it reckons well and breaks the rules often. Held-out prompts are never in the corpus.
On one machine with the same torch the weights come out bit for bit; other processors sum in
another order, and there only the measured skills agree.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.quickstart.task import GOODS, Bill, draw_bill, draw_sum, held_out
from clairkit.quickstart.tokenizer import END, PAD, build_tokenizer


@dataclass(frozen=True)
class Recipe:
    """Everything the weights depend on, the machine and torch's version aside."""

    seed: int = 21
    threads: int = 1
    """One, so that sums are made in the same order on any number of cores."""
    steps: int = 4000
    warmup: int = 150
    bills: int = 24
    """Bills a step."""
    sums: int = 24
    """Sums a step."""
    learning_rate: float = 3e-3
    content_weight: float = 3.0
    """How much more than other tokens digits and goods count in the loss: they must be right."""
    unit_kept: float = 0.7
    """How often a line of the corpus carries its unit, each line by itself."""
    closing_kept: float = 0.6
    """How often a bill of the corpus carries the closing line."""
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    feed_forward: int = 256

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: a linear rise, then a cosine down to zero."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


Example = tuple[str, str]


def corpus_bill(rng: random.Random, recipe: Recipe) -> Example:
    """Return one bill of the corpus: a prompt that isn't held out, the rules kept by chance."""
    bill: Bill = _training_side(lambda: draw_bill(rng), lambda bill: bill.prompt)
    units = [rng.random() < recipe.unit_kept for _ in range(len(bill.items) + 1)]
    return bill.prompt, bill.answer(units, closing=rng.random() < recipe.closing_kept)


def corpus_sum(rng: random.Random) -> Example:
    """Return one sum of the corpus: a prompt that isn't held out, the bare number."""
    example: Example = _training_side(lambda: draw_sum(rng), lambda example: example[0])
    return example


def _training_side(draw: Callable[[], Any], prompt: Callable[[Any], str]) -> Any:
    while held_out(prompt(drawn := draw())):
        pass
    return drawn


def new_model(recipe: Recipe, tokenizer: Any) -> Any:
    """Return the untrained model, its weights drawn from the recipe's seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
    )
    return LlamaForCausalLM(config)


def batch_loss(model: Any, tokenizer: Any, examples: list[Example], content_weight: float) -> Any:
    """Return the mean loss on the answers' tokens, digits and goods weighted.

    Args:
        model: the language model.
        tokenizer: its tokenizer.
        examples: prompts and answers of one batch.
        content_weight: of digits and goods; other tokens weigh 1.
    """
    import torch
    from torch.nn.functional import cross_entropy

    ids, answers = encode(tokenizer, examples)
    words = [*"0123456789", *(f"\u0120{good}" for good in GOODS)]
    content = torch.tensor(tokenizer.convert_tokens_to_ids(words))
    targets = ids[:, 1:]
    weights = torch.where(torch.isin(targets, content), content_weight, 1.0) * answers[:, 1:]
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    losses = cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


def encode(tokenizer: Any, examples: list[Example]) -> tuple[Any, Any]:
    """Return token ids, padded on the right, and a mask of the answers with their end tokens."""
    import torch

    rows = []
    for prompt, answer in examples:
        messages = [{"role": "user", "content": prompt}]
        head = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        start = tokenizer(head)["input_ids"]
        rows.append((start, tokenizer(answer + END)["input_ids"]))
    width = max(len(start) + len(end) for start, end in rows)
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros((len(rows), width))
    for index, (start, end) in enumerate(rows):
        stop = len(start) + len(end)
        ids[index, :stop] = torch.tensor(start + end)
        mask[index, len(start) : stop] = 1
    return ids, mask


def train(recipe: Recipe, report: Callable[[str], None], *, steps: int | None = None) -> Any:
    """Train from nothing and return `(model, tokenizer)`.

    Args:
        recipe: what the weights depend on.
        report: takes a line of progress.
        steps: stop after so many steps of the recipe (its schedule stays), for tests.
    """
    import torch

    torch.set_num_threads(recipe.threads)
    tokenizer = build_tokenizer()
    model = new_model(recipe, tokenizer).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.05
    )
    rng = random.Random(recipe.seed)
    started = time.monotonic()
    for step in range(recipe.steps if steps is None else steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        losses = [
            batch_loss(model, tokenizer, examples, recipe.content_weight)
            for examples in (
                [corpus_bill(rng, recipe) for _ in range(recipe.bills)],
                [corpus_sum(rng) for _ in range(recipe.sums)],
            )
        ]
        torch.autograd.backward(losses)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step + 1 == recipe.steps:
            bills, sums = (loss.item() for loss in losses)
            report(
                f"step {step:5d}  loss on bills {bills:.4f}  on sums {sums:.4f}  "
                f"{time.monotonic() - started:.0f} s"
            )
    return model.eval(), tokenizer


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model in transformers format, with the sampling it is deployed with."""
    model.generation_config.update(do_sample=True, temperature=1.0, max_new_tokens=64)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(arguments: list[str]) -> int:
    """Train by the recipe and write the model to the one folder named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m clairkit.quickstart.make_model OUT\n")
        return 2

    def report(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    model, tokenizer = train(Recipe(), report)
    save(model, tokenizer, Path(arguments[0]))
    report(f"written to {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
