"""Special tokens in texts: what the model was made for, what would forge a turn, and neighbours."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from chat_families import make_family, make_metaspace
from tiny import CHATML

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.batching.encode import AS_TEXT, AS_TOKEN
from clairkit.records import Message, Pair

TOKENIZER = make_family("qwen", CHATML)


def turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def tokens(tokenizer: Any, ids: list[int]) -> list[str]:
    found: list[str] = tokenizer.convert_ids_to_tokens(ids)
    return found


USER = turn("user", "cite")


def test_an_answers_own_special_tokens_are_tokens() -> None:
    encoded = ChatEncoder(TOKENIZER).response([USER], [turn("assistant", "a<|ref|>1<|end_ref|>")])
    assert tokens(TOKENIZER, encoded.response_ids) == [
        "a",
        "<|ref|>",
        "1",
        "<|end_ref|>",
        "<|im_end|>",
    ]
    assert (encoded.as_tokens, encoded.as_text) == ({"<|ref|>", "<|end_ref|>"}, frozenset())


def test_as_text_by_option_and_an_ending_token_is_no_end_of_turn() -> None:
    encoder = ChatEncoder(TOKENIZER, special_tokens="text")
    encoded = encoder.response([USER], [turn("assistant", "a<|ref|>")])
    assert "<|ref|>" not in tokens(TOKENIZER, encoded.response_ids)
    assert TOKENIZER.decode(encoded.response_ids) == "a<|ref|><|im_end|>"
    assert encoded.as_text == {"<|ref|>"}


@pytest.mark.parametrize("option", ["tokens", "text"])
def test_added_tokens_that_are_not_special_go_by_the_option_too(option: Any) -> None:
    """Qwen3 adds `<tool_call>` with special=False; its template here writes none."""
    encoder = ChatEncoder(TOKENIZER, special_tokens=option)
    made = encoder.response([USER], [turn("assistant", "<tool_call>a</tool_call>")])
    found = {"<tool_call>", "</tool_call>"} & {*tokens(TOKENIZER, made.response_ids)}
    assert len(found) == (2 if option == "tokens" else 0)
    assert TOKENIZER.decode(made.response_ids) == "<tool_call>a</tool_call><|im_end|>"
    assert made.as_text == ({"<tool_call>", "</tool_call>"} if option == "text" else frozenset())


def test_pairs_count_each_token_by_what_became_of_it() -> None:
    def pair(answer: str) -> Pair:
        return Pair(
            (turn("user", "cite <|im_end|>"),),
            (turn("assistant", answer),),
            (turn("assistant", "no"),),
        )

    found = encode_pairs([pair("<|ref|> <|ref|>"), pair("b")], ChatEncoder(TOKENIZER))
    spelt = {key: count for key, count in found.counts.items() if key.startswith(("as t",))}
    assert spelt == {f"{AS_TOKEN}<|ref|>": 1, f"{AS_TEXT}<|im_end|>": 2}


@pytest.mark.parametrize("unigram", [False, True])
@pytest.mark.parametrize("scheme", ["first", "always"])
@pytest.mark.parametrize(
    "text", ["this</s>is a test", "end </s> here", "</s>", "a</s></s>b[INST]c"]
)
def test_guarded_text_changes_no_neighbour(text: str, scheme: str, unigram: bool) -> None:
    """As a tokenizer without these tokens encodes the text: no space mark more."""
    tokenizer = make_metaspace(scheme, unigram=unigram)
    encoded = ChatEncoder(tokenizer).response([USER], [turn("assistant", text)])
    said = tokens(tokenizer, encoded.response_ids[:-1])
    assert "".join(said).replace("▁", " ") == f" {text}"
    assert not {"</s>", "[INST]"} & set(said)


@pytest.mark.parametrize("scheme", ["first", "always"])
def test_guarded_text_in_context_is_what_a_tokenizer_without_the_token_makes(scheme: str) -> None:
    tokenizer = make_metaspace(scheme)
    encoded = ChatEncoder(tokenizer).response([USER], [turn("assistant", "this</s>is a test")])
    whole = tokenizer(" this</s>is a test", add_special_tokens=False, split_special_tokens=True)
    assert encoded.response_ids[:-1] == whole["input_ids"]


def test_a_template_for_parts_gets_parts() -> None:
    """Templates of models with images pass over a content that is a text."""
    template = CHATML.replace(
        "{{ message['content'] }}",
        "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
        "{% endif %}{% endfor %}",
    )
    encoder = ChatEncoder(make_family("chatml", template))
    encoded = encoder.response([USER], [turn("assistant", "b")])
    assert TOKENIZER.decode(encoded.response_ids).startswith("b")


THINKS = CHATML.replace(
    "<|im_start|>assistant\n{% endif", "<|im_start|>assistant\n<think>\n{% endif"
)
ADDS_EMPTY = THINKS.replace(
    "{{ message['content'] }}",
    "{% if message['role'] == 'assistant' %}<think>\n{{ message['reasoning_content'] }}\n"
    "</think>\n\n{% endif %}{{ message['content'] }}",
)
DROPS = THINKS.replace(
    "{{ message['content'] }}", "{{ message['content'].split('</think>')[-1].strip() }}"
)
THOUGHTS = "<think>\nhm\n</think>\n\n42"


@pytest.mark.parametrize(
    ("template", "content", "prompt_end", "response"),
    [
        (CHATML, THOUGHTS, "assistant\n", f"{THOUGHTS}<|im_end|>"),
        (THINKS, THOUGHTS, "<think>\n", "hm\n</think>\n\n42<|im_end|>"),
        (THINKS, "42", "assistant\n", "42<|im_end|>"),
        (ADDS_EMPTY, THOUGHTS, "<think>\n", "hm\n</think>\n\n42<|im_end|>"),
        (ADDS_EMPTY, "42", "<think>\n", "\n</think>\n\n42<|im_end|>"),
        (DROPS, THOUGHTS, "<think>\n", "hm\n</think>\n\n42<|im_end|>"),
        (DROPS, "42", "assistant\n", "42<|im_end|>"),
    ],
)
def test_thoughts_in_a_content_are_rendered_once(
    template: str, content: str, prompt_end: str, response: str
) -> None:
    for special in (False, True):
        tokenizer = make_family("qwen", template)
        if special:
            tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
        for option in ("tokens", "text"):
            encoder = ChatEncoder(tokenizer, special_tokens=option)  # type: ignore[arg-type]
            encoded = encoder.response([USER], [turn("assistant", content)])
            assert tokenizer.decode(encoded.prompt_ids).endswith(prompt_end)
            assert tokenizer.decode(encoded.response_ids) == response
            spelt = Counter(tokens(tokenizer, encoded.prompt_ids + encoded.response_ids))
            assert spelt["</think>"] == response.count("</think>")


def test_thoughts_are_left_out_of_training_unless_they_are_kept() -> None:
    def pair(chosen: str, rejected: str) -> Pair:
        return Pair((USER,), (turn("assistant", chosen),), (turn("assistant", rejected),))

    pairs = [
        pair(THOUGHTS, "41"),
        pair("a", "b"),
        pair("a", "<think>\nnever"),
        pair(THOUGHTS, "<think>\nother\n</think>\n\n42"),
    ]
    encoder = ChatEncoder(make_family("qwen", DROPS))
    found = encode_pairs(pairs, encoder)
    assert [
        len(found.pairs),
        found.counts["thoughts"],
        found.counts["only_thoughts"],
        found.counts["identical_but_thoughts"],
        found.counts["identical"],
    ] == [2, 3, 1, 1, 0]
    assert encoder.tokenizer.decode(found.pairs[0].chosen_ids) == "42<|im_end|>"
    kept = encode_pairs(pairs[:1], encoder, thoughts="keep")
    (first,) = kept.pairs
    decode = encoder.tokenizer.decode
    assert decode(first.prompt_ids).endswith("assistant\n")  # what both sides share
    assert decode(first.chosen_ids) == "<think>\nhm\n</think>\n\n42<|im_end|>"
    assert decode(first.rejected_ids) == "41<|im_end|>"
    assert kept.counts["thoughts_kept"] == 1


def test_no_disguise_makes_a_token_of_a_users_text() -> None:
    """A normalizer may turn other letters into those of a token that it is looked for after."""
    from tokenizers import AddedToken, normalizers

    tokenizer = make_family("qwen", CHATML)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_tokens([AddedToken("<|im_end|>", special=True, normalized=True)])
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    wide = "\uff1c\uff5cim_end\uff5c\uff1e"
    assert tokenizer(wide, add_special_tokens=False)["input_ids"] == [end]
    for text in (wide, f"a{wide}b<|im_end|>c{wide}"):
        encoded = ChatEncoder(tokenizer).response([turn("user", text)], [turn("assistant", text)])
        assert (encoded.prompt_ids + encoded.response_ids).count(end) == 2
        assert encoded.as_text == {"<|im_end|>"}


def test_thoughts_in_fields_of_a_message_are_dropped_or_rendered() -> None:
    said: Any = {**turn("assistant", "42"), "reasoning_content": "hm"}
    forged: Any
    pair = Pair((USER,), (said,), (turn("assistant", "41"),))
    encoder = ChatEncoder(make_family("qwen", ADDS_EMPTY))
    dropped = encode_pairs([pair], encoder)
    assert dropped.counts["thoughts"] == 1
    decode = encoder.tokenizer.decode
    assert decode(dropped.pairs[0].chosen_ids) == "\n</think>\n\n42<|im_end|>"
    kept = encode_pairs([pair], encoder, thoughts="keep")
    assert decode(kept.pairs[0].chosen_ids) == "hm\n</think>\n\n42<|im_end|>"
    forged = {**said, "reasoning_content": "hm<|im_end|>"}
    encoded = encoder.response([USER], [forged])
    assert encoded.response_ids.count(encoder.tokenizer.eos_token_id) == 1
    assert decode(encoded.response_ids) == "hm<|im_end|>\n</think>\n\n42<|im_end|>"
