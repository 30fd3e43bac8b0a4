"""Tiny tokenizers with the special tokens of model families, for chat templates as they are."""

from __future__ import annotations

from typing import Any

_BAR = "\uff5c"
_DEEPSEEK_END = f"<{_BAR}end\u2581of\u2581sentence{_BAR}>"
FAMILIES: dict[str, dict[str, Any]] = {
    "chatml": {"special": ["<|pad|>", "<|im_start|>", "<|im_end|>"], "eos": "<|im_end|>"},
    "qwen": {
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "plain": [
            "<think>",
            "</think>",
            "<tool_call>",
            "</tool_call>",
            "<tool_response>",
            "</tool_response>",
        ],
        "eos": "<|im_end|>",
        "pad": "<|endoftext|>",
    },
    "llama": {
        "special": [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ],
        "bos": "<|begin_of_text|>",
        "eos": "<|eot_id|>",
        "pad": "<|eot_id|>",
    },
    "gemma": {
        "special": ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"],
        "bos": "<bos>",
        "eos": "<eos>",
        "pad": "<pad>",
    },
    "phi": {
        "special": ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"],
        "eos": "<|endoftext|>",
        "pad": "<|endoftext|>",
    },
    "deepseek": {
        "special": [
            f"<{_BAR}begin\u2581of\u2581sentence{_BAR}>",
            _DEEPSEEK_END,
            f"<{_BAR}User{_BAR}>",
            f"<{_BAR}Assistant{_BAR}>",
        ],
        "plain": ["<think>", "</think>"],
        "bos": f"<{_BAR}begin\u2581of\u2581sentence{_BAR}>",
        "eos": _DEEPSEEK_END,
    },
}
"""By name: `special` and `plain` added tokens, and which of them are bos, eos and pad."""

MORE = ["<|ref|>", "<|end_ref|>"]
"""Special tokens that every family has, and no template writes."""


def make_family(name: str, template: str) -> Any:
    """Return a byte-level tokenizer with a family's tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    family = FAMILIES[name]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=family["special"] + MORE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the quick brown fox", "user assistant system\n"] * 4, trainer)
    named = {f"{key}_token": family[key] for key in ("bos", "eos", "pad") if key in family}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    for text in family.get("plain", ()):
        fast.add_tokens([AddedToken(text, special=False, normalized=False)])
    fast.chat_template = template
    return fast


def make_metaspace(scheme: str, *, unigram: bool = False) -> Any:
    """Return a tokenizer that puts a space mark at a beginning, as those of Llama 2 and T5."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(set("▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,?!<>/|[]01\n"))
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    tokenizer = Tokenizer(models.Unigram() if unigram else models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=False)
    kinds = trainers.UnigramTrainer if unigram else trainers.BpeTrainer
    more = {"unk_token": "<unk>"} if unigram else {}
    trainer = kinds(
        vocab_size=150,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
        **more,
    )
    tokenizer.train_from_iterator(["hello world this is a test"] * 3, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.chat_template = (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}"
        "{% endfor %}"
    )
    return fast
