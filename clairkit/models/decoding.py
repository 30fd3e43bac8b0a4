"""Sample rows token by token: a row that ends leaves at once, and the next one takes its slot."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from clairkit.models.gumbel import RowSampler
from clairkit.models.sampling import Sampling
from clairkit.models.slots import Slots, holds_all_tokens, rounded

_ATTENTIONS = ("sdpa", "eager")  # those that take any mask
_UNIT = 16  # prompts are padded to multiples of it
_PROMPT_TOKENS = 2048  # most tokens of a pass of prompts
_SHARE = 4  # new rows come when a quarter of the slots is free: their pass reads all weights, too
_GAP = {torch.float32: 1e-3, torch.float64: 1e-3}
_HALF_GAP = 0.05


class Prompt(Protocol):
    """A row to be continued."""

    @property
    def index(self) -> int:
        """Its place among the rows that were given."""

    @property
    def key(self) -> str:
        """What its random stream is seeded from."""

    @property
    def ids(self) -> list[int]:
        """The prompt's tokens."""

    @property
    def budget(self) -> int:
        """The most tokens that may follow."""


@dataclass
class _Running:
    """A row in a slot; its last token has yet to be run."""

    row: Prompt
    generator: torch.Generator | None
    made: list[int] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.made[-1] if self.made else self.row.ids[-1]


class SlotDecoder:
    """Continues rows with a model that keeps keys and values of all tokens.

    Prompts are run together where their lengths, rounded up to 16, are the same, so that a row's
    pass is as wide with others as alone. What is left of its neighbours is the rounding of products
    whose order of summing goes by the number of rows.

    Args:
        model: in evaluation mode, on its device.
        end_ids: tokens that end a row.
        slots: how many rows run at once.
    """

    def __init__(self, model: Any, end_ids: Sequence[int], slots: int) -> None:
        self._model = model
        self._ends = frozenset(end_ids)
        self._size = slots
        known = inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    @classmethod
    def fits(cls, model: Any, ids: Sequence[int]) -> bool:
        """Whether the model's logits in slots are those of plain passes.

        Args:
            model: any causal language model.
            ids: tokens to try it on.
        """
        attention = getattr(model.config, "_attn_implementation", None)
        known = inspect.signature(model.forward).parameters
        if attention not in _ATTENTIONS or "position_ids" not in known or len(ids) < 2:
            return False
        try:
            return cls(model, (), 2)._agrees(ids)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # of an architecture's own code: it is asked in its own way
            return False

    def _agrees(self, ids: Sequence[int]) -> bool:
        prompts = [list(ids), list(ids[: len(ids) // 2 + 1])]
        cache = self._prefill(prompts)
        if not holds_all_tokens(cache):
            return False
        slots = Slots(cache, 2)
        slots.put(cache, [len(prompt) - 1 for prompt in prompts])
        found = self._step(slots, [prompt[-1] for prompt in prompts])
        device = self._model.device
        alone = [self._model(input_ids=torch.tensor([ids], device=device)) for ids in prompts]
        expected = torch.cat([output.logits[:, -1].float() for output in alone])
        gap = (found - expected).abs().max() / expected.abs().max()
        return bool(gap <= _GAP.get(self._model.dtype, _HALF_GAP))

    def run(
        self,
        rows: Sequence[Prompt],
        sampling: Sampling,
        is_over: Callable[[list[int]], bool],
        is_halted: Callable[[], bool],
    ) -> Iterator[tuple[Prompt, list[int]]]:
        """Yield each row with the tokens that follow it, the end token included, as it ends.

        Args:
            rows: in the order in which they get a slot; those of like length side by side.
            sampling: how to sample.
            is_over: tells by a row's tokens whether a stop text has come.
            is_halted: once true, no further row begins.
        """
        sampler = RowSampler(sampling, self._model.device)
        waiting = deque(rows)
        running: list[_Running] = []
        slots: Slots | None = None
        while waiting or running:
            if is_halted():
                waiting.clear()
            if waiting and len(running) <= self._size - max(1, self._size // _SHARE):
                while group := self._next_group(waiting, self._size - len(running)):
                    cache = self._prefill([row.ids for row in group])
                    slots = slots or Slots(cache, min(self._size, len(rows)))
                    slots.put(cache, [len(row.ids) - 1 for row in group])
                    running += [_Running(row, sampler.generator(row.key)) for row in group]
            if slots is None or not running:  # halted
                return
            logits = self._step(slots, [row.last for row in running])
            tokens = sampler.pick(logits, [row.generator for row in running])
            for row, token in zip(running, tokens, strict=True):
                row.made.append(token)
            for place in reversed(range(len(running))):
                row = running[place]
                if self._is_done(row, is_over):
                    slots.free(place)
                    running[place] = running[-1]
                    running.pop()
                    yield row.row, row.made

    def _is_done(self, row: _Running, is_over: Callable[[list[int]], bool]) -> bool:
        made = row.made
        return made[-1] in self._ends or len(made) >= row.row.budget or is_over(made)

    @staticmethod
    def _next_group(waiting: deque[Prompt], most: int) -> list[Prompt]:
        """Take the next rows that are run in one pass: as wide as the first, within the limit."""
        group: list[Prompt] = []
        width = _width(waiting[0].ids) if waiting else 1
        while waiting and len(group) < min(most, max(1, _PROMPT_TOKENS // width)):
            if _width(waiting[0].ids) != width:
                break
            group.append(waiting.popleft())
        return group

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> DynamicCache:
        """Return the cache of prompts of one width, without their last tokens.

        Padding stands behind a prompt, where no token of it looks.
        """
        width = max(map(_width, prompts))
        ids = [[*prompt[:-1], *[prompt[-1]] * (width + 1 - len(prompt))] for prompt in prompts]
        cache = DynamicCache(config=self._model.config)
        self._model(
            input_ids=torch.tensor(ids, device=self._model.device),
            past_key_values=cache,
            use_cache=True,
            **self._last_only,
        )
        return cache

    def _step(self, slots: Slots, tokens: Sequence[int]) -> Tensor:
        """Return the logits behind one more token a row, [B, V]."""
        device = self._model.device
        positions, mask = slots.next_pass(device)
        output = self._model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=slots,
            use_cache=True,
            **self._last_only,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits


def _width(ids: Sequence[int]) -> int:
    """Return the columns of a prompt's pass, which its last token is left out of."""
    return rounded(max(1, len(ids) - 1), _UNIT)
