"""Build the quickstart model's tokenizer: byte-level, with words of the task whole.

Vocabulary and merges are written down, not trained: the same file comes out every time.
"""

from __future__ import annotations

from typing import Any

from clairkit.quickstart.task import GOODS

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")

# Rendering a conversation's beginning with a generation prompt is a prefix of rendering it whole.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)

_WORDS = ("Bill", "Total", "Thank", "What", " is", " at", " you", " for", " your", " order", " EUR")


def build_tokenizer() -> Any:
    """Return the tokenizer as a transformers `PreTrainedTokenizerFast`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = _merges()
    pieces = [PAD, END, *ROLES, *letters, *(left + right for left, right in merges)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in (PAD, END, *ROLES)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=list(ROLES),
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _merges() -> list[tuple[str, str]]:
    """Spell each word from its first letter on: `B i`, `Bi l`, `Bil l`."""
    words = [*_WORDS, *(f" {good}" for good in GOODS)]
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        spelled = word.replace(" ", "\u0120")  # the byte-level alphabet's letter for a space
        for end in range(1, len(spelled)):
            merges[spelled[:end], spelled[end]] = None
    return list(merges)
