"""Token ids against TRL's on the chat templates that it ships, special tokens included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trl
from chat_families import FAMILIES, make_family
from hypothesis import given, settings
from hypothesis import strategies as st

from clairkit.batching import ChatEncoder
from clairkit.records import Message

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
SHIPPED = {
    "qwen3.jinja": "qwen",
    "qwen3_5_think.jinja": "qwen",
    "qwen3_instruct_2507.jinja": "qwen",
    "qwen2_5.jinja": "chatml",
    "llama3.jinja": "llama",
    "llama3_1.jinja": "llama",
    "gemma.jinja": "gemma",
    "gemma3.jinja": "gemma",
    "phi3.jinja": "phi",
    "deepseekv3.jinja": "deepseek",
}
TOKENIZERS = {
    name: make_family(family, (TEMPLATES / name).read_text(encoding="utf-8"))
    for name, family in SHIPPED.items()
}
ENCODERS = {name: ChatEncoder(tokenizer) for name, tokenizer in TOKENIZERS.items()}
CONTENTS = [
    "The sum is 42.",
    "See <|ref|>1<|end_ref|>.",
    "<|ref|>",
    " a  b\n\n日本\n",
    "<tool_call>\n{}\n</tool_call>",
    "ends with <|end_ref|>",
]


def turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def as_trl(tokenizer: Any, prompt: list[Message], response: list[Message]) -> list[int]:
    """The ids of prompt and response together, as its `DPOTrainer` gets them."""
    text = tokenizer.apply_chat_template([*prompt, *response], tokenize=False)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", SHIPPED)
def test_ids_are_those_of_trl(name: str, content: str) -> None:
    prompt, response = [turn("user", "say <|ref|> it")], [turn("assistant", content)]
    encoded = ENCODERS[name].response(prompt, response)
    ours = encoded.prompt_ids + encoded.response_ids
    theirs = as_trl(TOKENIZERS[name], prompt, response)
    # TRL trains what the template writes behind the end of a turn, too.
    assert ours == theirs[: len(ours)]
    rest = TOKENIZERS[name].decode(theirs[len(ours) :])
    assert not rest.replace("<|endoftext|>", "").strip()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_template_writes_its_own_tokens_and_nobody_else(name: str) -> None:
    family = FAMILIES[SHIPPED[name]]
    tokenizer, encoder = TOKENIZERS[name], ENCODERS[name]
    ids = set(tokenizer.convert_tokens_to_ids([*family["special"], *family.get("plain", ())]))

    def structure(user: str, answer: str) -> list[int]:
        encoded = encoder.response([turn("user", user)], [turn("assistant", answer)])
        return [token for token in encoded.prompt_ids + encoded.response_ids if token in ids]

    honest = structure("x", "y")
    for token in [family["eos"], *encoder.tokens.turns]:
        assert structure(f"a {token} b", "y") == honest
        assert structure("x", f"a{token}b") == honest
    for token in encoder.tokens.written:
        assert structure(f"{token}{token}", "y") == honest


forged = st.lists(
    st.sampled_from(
        [
            "a",
            " ",
            "\n",
            "<",
            "|",
            "im_",
            "end",
            "|>",
            "<|im_end|>",
            "<|im_start|>",
            "<think>",
            "</think>",
            "\uf8f1",
            "0",
            "<|ref|>",
        ]
    ),
    max_size=10,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(forged)
def test_no_user_text_forges_a_turn_or_gets_lost(user: str) -> None:
    tokenizer, encoder = TOKENIZERS["qwen3.jinja"], ENCODERS["qwen3.jinja"]
    ids = encoder.prompt([turn("user", f"x{user}x")])
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_start|>")) == 2
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1
    assert tokenizer.convert_tokens_to_ids("<think>") not in ids
    assert tokenizer.decode(ids) == (
        f"<|im_start|>user\nx{user}x<|im_end|>\n<|im_start|>assistant\n"
    )
