"""Sample from a transformers model in this process: batched, and seeded row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from clairkit.batching.chat import ChatEncoder
from clairkit.batching.chat_settings import ChatSettings, run_chat_settings
from clairkit.display import excerpt
from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.models.decoding import SlotDecoder
from clairkit.models.gumbel import sampling_processors
from clairkit.models.outcomes import thoughts_apart
from clairkit.models.sampling import Reply, Sampling
from clairkit.records import Message
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

__all__ = ["LocalModel", "Reply", "Sampling"]


_TRIED = 16  # tokens of a prompt on which slots are tried
_REACH = 16  # tokens that are looked through for a stop text, beside as many as it has bytes


@dataclass(frozen=True)
class _Row:
    """One prompt on its way through: its place, key, ids, and the tokens it may still get."""

    index: int
    key: str
    ids: list[int]
    budget: int


class LocalModel:
    """A causal language model of transformers with its tokenizer.

    A row's sample is decided by the prompt, the row's key and the sampling, whatever the order of
    the rows and the batch they fall into (up to rounding: in another batch the same sums are
    added in another order, which can turn an exact tie). The settings in the model's own
    `generation_config.json` are left aside, its end tokens excepted: `Sampling` says all.

    A reply's text holds the special tokens that the model wrote as content (citations, tool
    calls); those of turns, and padding, are left out. Thoughts are told apart from the answer.

    Args:
        model: the model, on its device.
        tokenizer: its tokenizer, with a chat template.
        batch_size: how many rows run at once.
        marks: of the thoughts before an answer.
        chat: how conversations are rendered.

    Raises:
        UsageError: the tokenizer has no chat template or no end token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int = 16,
        marks: Marks = THOUGHT_MARKS,
        chat: ChatSettings | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError("the batch size must be at least 1", received=batch_size)
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self._encoder = ChatEncoder.of(tokenizer, chat or ChatSettings())
        self._end_ids = _end_ids(model, tokenizer)
        self._marks = marks
        self._opened = self._encoder.opened_thoughts(marks)
        self._unsaid = _unsaid(self._encoder, self._end_ids, marks)
        pad = tokenizer.pad_token_id
        self._has_slots: bool | None = None
        self._pad_id: int = tokenizer.eos_token_id if pad is None else pad

    @classmethod
    def load(
        cls,
        id_or_path: str,
        *,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        batch_size: int = 16,
        marks: Marks = THOUGHT_MARKS,
        chat: ChatSettings | None = None,
    ) -> LocalModel:
        """Load model and tokenizer from a folder or the Hub; no code of theirs is run.

        Args:
            id_or_path: the folder or Hub id.
            device: `cuda`, `cpu`…; by default the GPU when there is one.
            dtype: of the weights; by default the checkpoint's, on a CPU float32 where that has no
                unit for products of the checkpoint's.
            batch_size: how many rows run at once.
            marks: of the thoughts before an answer.
            chat: how conversations are rendered; what it doesn't give, a run directory does.

        Raises:
            UsageError: there is no such model, or it has no chat template.
        """
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            tokenizer = AutoTokenizer.from_pretrained(id_or_path)
            model = AutoModelForCausalLM.from_pretrained(id_or_path, dtype=dtype or "auto")
            if place == "cpu" and dtype is None and not _multiplies(model.dtype):
                model = model.float()
            model = model.to(place).eval()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ResourceError(
                "the device's memory does not hold the model", remedy="take a smaller one"
            ) from error
        except Exception as error:  # of every library that reads some file of a model
            kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
            first = excerpt(str(error).strip().partition("\n")[0], 200)
            remedy = "give a folder in transformers format, or a Hub id that can be reached"
            raise UsageError(
                f"the model can't be loaded ({kind}{first})", received=id_or_path, remedy=remedy
            ) from error
        settings = (chat or ChatSettings()).over(run_chat_settings(id_or_path))
        return cls(model, tokenizer, batch_size=batch_size, marks=marks, chat=settings)

    def generate(
        self, prompts: Sequence[Sequence[Message]], keys: Sequence[str], sampling: Sampling
    ) -> list[Reply]:
        """Return one reply a prompt, in the prompts' order.

        Args:
            prompts: conversations, each to be continued by the assistant.
            keys: what identifies each row; its random stream is seeded from it.
            sampling: how to sample.

        Raises:
            DataError: a prompt leaves no room in the model's context.
            ResourceError: the device's memory does not hold a batch.
        """
        replies = dict(self.stream(prompts, keys, sampling))
        return [replies[index] for index in range(len(prompts))]

    def stream(
        self,
        prompts: Sequence[Sequence[Message]],
        keys: Sequence[str],
        sampling: Sampling,
        is_halted: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies as they end, each with its prompt's place.

        Args:
            prompts: as in `generate`.
            keys: as in `generate`.
            sampling: how to sample.
            is_halted: once true, no further row begins.

        Raises:
            DataError: a prompt leaves no room in the model's context.
            ResourceError: the device's memory does not hold the rows.
        """
        rows = [
            self._row(index, key, prompt, sampling)
            for index, (key, prompt) in enumerate(zip(keys, prompts, strict=True))
        ]
        with torch.inference_mode(), _plain(self.model), self._memory_errors():
            if rows and self._takes_slots(rows):
                yield from self._run_slots(rows, sampling, is_halted)
            else:
                for batch in takewhile(lambda _: not is_halted(), self._batches(rows, sampling)):
                    yield from self._run(batch, sampling)

    def room(self, prompt: Sequence[Message]) -> int:
        """Return how many tokens may follow `prompt` in the model's context; 0 when none."""
        return max(0, self._context() - len(self._encoder.prompt(prompt)))

    def _row(self, index: int, key: str, prompt: Sequence[Message], sampling: Sampling) -> _Row:
        ids = self._encoder.prompt(prompt)
        budget = min(sampling.max_new_tokens, self._context() - len(ids))
        if budget < 1:
            raise DataError(
                f"prompt {key} of {len(ids)} tokens leaves no room in a context of "
                f"{self._context()} tokens",
                remedy="shorten it, leave it out, or take a model with a longer context",
            )
        return _Row(index, key, ids, budget)

    def _context(self) -> int:
        longest = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return longest or 2**31

    def _takes_slots(self, rows: Sequence[_Row]) -> bool:
        """Whether rows may come and go; else batches run until their last row ends."""
        if self._has_slots is None:
            longest = max(rows, key=lambda row: len(row.ids))
            self._has_slots = SlotDecoder.fits(self.model, longest.ids[:_TRIED])
        return self._has_slots

    def _run_slots(
        self, rows: Sequence[_Row], sampling: Sampling, is_halted: Callable[[], bool]
    ) -> Iterator[tuple[int, Reply]]:
        decoder = SlotDecoder(self.model, self._end_ids, self.batch_size)
        ordered = sorted(rows, key=lambda row: (-len(row.ids), row.key))
        reach = _REACH + max((len(text.encode()) for text in sampling.stop), default=0)

        def is_over(made: list[int]) -> bool:
            # looked for at the end, and made sure of in the whole
            return any(
                text in self._text(made[-reach:]) and text in self._text(made)
                for text in sampling.stop
            )

        for row, made in decoder.run(ordered, sampling, is_over, is_halted):
            yield row.index, self._reply(len(row.ids), made, sampling.stop)

    def _batches(self, rows: Sequence[_Row], sampling: Sampling) -> Iterator[list[_Row]]:
        """Rows of like length together; those that the context cuts short, each alone."""
        ordered = sorted(rows, key=lambda row: (-len(row.ids), row.key))
        whole = [row for row in ordered if row.budget == sampling.max_new_tokens]
        for start in range(0, len(whole), self.batch_size):
            yield whole[start : start + self.batch_size]
        yield from ([row] for row in ordered if row.budget < sampling.max_new_tokens)

    def _run(self, batch: Sequence[_Row], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        device = self.model.device
        width = max(len(row.ids) for row in batch)
        gaps = [width - len(row.ids) for row in batch]
        pad = self._pad_id
        ids = torch.tensor([[pad] * gap + row.ids for gap, row in zip(gaps, batch, strict=True)])
        mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in gaps])
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=batch[0].budget,
            eos_token_id=self._end_ids,
            pad_token_id=pad,
            use_cache=True,
            stop_strings=list(sampling.stop) or None,
        )
        processors = sampling_processors(sampling, [row.key for row in batch], device)
        output = self.model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            generation_config=config,
            logits_processor=processors,
            tokenizer=self.tokenizer,
        )
        for row, made in zip(batch, output[:, width:].tolist(), strict=True):
            yield row.index, self._reply(len(row.ids), made, sampling.stop)

    def _reply(self, prompt_tokens: int, made: list[int], stop: Sequence[str]) -> Reply:
        end = next((place for place, token in enumerate(made) if token in self._end_ids), None)
        content = made if end is None else made[:end]
        if end is None and stop:
            content = _without_padding(content, self._pad_id)
        kept = content if end is None else made[: end + 1]
        text = self._text(content)
        cuts = [place for place in map(text.find, stop) if place >= 0]
        reply = Reply(
            text=text[: min(cuts)] if cuts else text,
            finish_reason="length" if end is None and not cuts else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(kept),
            token_ids=tuple(kept),
        )
        found = thoughts_apart(reply, self._marks, opened=self._opened)
        assert isinstance(found, Reply)
        return found

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(
            [token for token in ids if token not in self._unsaid],
            clean_up_tokenization_spaces=False,
        )
        return text

    @contextmanager
    def _memory_errors(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"the device's memory does not hold {self.batch_size} rows at once",
                remedy="use a smaller batch size",
            ) from error


def _multiplies(dtype: torch.dtype) -> bool:
    """Whether this CPU has a unit for products of a kind; not where an older torch does not say.

    AMX adds a row's products in one order however many rows there are, so that in bfloat16, too, a
    reply is the same in every batch. AVX-512's bfloat16 does not: there it is float32.
    """
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return dtype == torch.bfloat16 and bool(found.get("amx_bf16", False))


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokenizer's end token and those of the model's generation settings."""
    given = getattr(model.generation_config, "eos_token_id", None)
    more = given if isinstance(given, list) else [given]
    ids = {token for token in [tokenizer.eos_token_id, *more] if token is not None}
    return sorted(ids)


def _unsaid(encoder: ChatEncoder, end_ids: Sequence[int], marks: Marks) -> frozenset[int]:
    """The tokens that are no part of what a model says: those of turns, but for thought marks."""
    spelt = " ".join(f"{mark.opening} {mark.closing}" for mark in marks)
    turns = {token for token in encoder.tokens.turns if token not in spelt}
    ids = encoder.tokenizer.convert_tokens_to_ids(sorted(turns))
    return frozenset((*ids, *end_ids))


def _without_padding(ids: list[int], pad: int) -> list[int]:
    end = len(ids)
    while end and ids[end - 1] == pad:
        end -= 1
    return ids[:end]


@contextmanager
def _plain(model: Any) -> Iterator[None]:
    """Evaluation mode, and no generation settings but ours; both as before afterwards."""
    settings, training = model.generation_config, model.training
    model.generation_config = GenerationConfig()
    model.eval()
    try:
        yield
    finally:
        model.generation_config = settings
        model.train(training)
