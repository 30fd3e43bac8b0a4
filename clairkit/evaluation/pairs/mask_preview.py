"""Show what a loss mask trains on: the response tokens of one pair, each with its weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clairkit.batching import ChatEncoder
from clairkit.errors import DataError
from clairkit.records import Pair
from clairkit.training.config import TrainConfig
from clairkit.training.encoding import encode_pair_for_training
from clairkit.training.masks import edited_tokens, weights_of
from clairkit.training.reading import described

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_PART = "\ufffd"  # what a decoder makes of bytes that are no whole character
_NOTES = {
    "truncated": "cut at max_length",
    "end_dropped": "without an end of turn",
    "edits_cut": "with edits cut off",
    "realigned": "realigned at the prompt's end",
    "thoughts": "without the thoughts before an answer",
    "special_text": "special tokens spelt in the text are plain text",
}
_MOST = 16  # tokens of a piece, should whole characters never come


@dataclass(frozen=True)
class TokenPiece:
    """The fewest tokens that make up whole characters, mostly one; `weights` is one a token."""

    text: str
    ids: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class MaskPreview:
    """Both responses of a pair as a training run would see them.

    Attributes:
        loss_mask: all, edits or weighted.
        shared_weight: of tokens outside of edit spans; read by weighted alone.
        prompt_tokens: tokens before either response; they never count in a loss.
        chosen: pieces of chosen, its end of turn included; the texts make up the response.
        rejected: of rejected, likewise.
        notes: what happened to the pair when it was encoded, in words.
    """

    loss_mask: str
    shared_weight: float
    prompt_tokens: int
    chosen: tuple[TokenPiece, ...]
    rejected: tuple[TokenPiece, ...]
    notes: tuple[str, ...]


def preview_mask(
    pair: Pair, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> MaskPreview:
    """Return the weights that training with this configuration gives each token of a pair.

    Encoding, cutting, alignment and weights are the trainer's own functions.

    Args:
        pair: a pair of two sides.
        tokenizer: the model's, with a chat template.
        config: its loss_mask, shared_weight, max_length, truncation, chat_template_kwargs.

    Raises:
        DataError: training would drop the pair, or it can't be rendered.
        UsageError: the tokenizer has no chat template.
    """
    counts: Counter[str] = Counter(rows=1)
    encoder = ChatEncoder.of(tokenizer, config.chat)
    encoded = encode_pair_for_training(pair, encoder, counts, config)
    if encoded is None:
        raise DataError(
            f"training would not see the pair: {described(0, counts)}",
            remedy="set another max_length or truncation" if counts["too_long"] else None,
        )
    marks = edited_tokens(encoded)
    chosen, rejected = weights_of(config.loss_mask, config.shared_weight, marks, encoded.foreign)
    return MaskPreview(
        loss_mask=config.loss_mask,
        shared_weight=config.shared_weight,
        prompt_tokens=len(encoded.prompt_ids),
        chosen=tuple(token_pieces(tokenizer, encoded.chosen_ids, chosen.tolist())),
        rejected=tuple(token_pieces(tokenizer, encoded.rejected_ids, rejected.tolist())),
        notes=tuple(words for key, words in _NOTES.items() if counts[key]),
    )


def token_pieces(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], weights: Sequence[float]
) -> Iterator[TokenPiece]:
    """Yield the texts of tokens in order; several tokens together where a character needs them.

    Each is decoded behind the piece before it, since some tokenizers drop a space at a beginning.
    """

    def decode(start: int, end: int) -> str:
        text: str = tokenizer.decode(ids[start:end], clean_up_tokenization_spaces=False)
        return text

    before = start = 0
    for end in range(1, len(ids) + 1):
        text = decode(before, end)
        if text.endswith(_PART) and end < len(ids) and end - start < _MOST:
            continue
        head = decode(before, start)
        yield TokenPiece(text[len(head) :], tuple(ids[start:end]), tuple(weights[start:end]))
        before, start = start, end
