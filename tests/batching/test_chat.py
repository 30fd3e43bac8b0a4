"""Conversations to ids: templates that behave, templates that don't, and hostile texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import CHATML, make_tokenizer

from clairkit.batching import ChatEncoder
from clairkit.errors import DataError, UsageError
from clairkit.records import Message

TOKENIZER = make_tokenizer()


def turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def rendered(*messages: Message, generation: bool = False) -> str:
    text: str = TOKENIZER.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=generation
    )
    return text


def decoded(ids: list[int]) -> str:
    text: str = TOKENIZER.decode(ids)
    return text


USER, ANSWER = turn("user", "say the quick"), turn("assistant", "brown fox")


def test_prompt_and_response_are_the_rendered_text_up_to_the_end_of_turn() -> None:
    encoded = ChatEncoder(TOKENIZER).response([USER], [ANSWER])
    assert decoded(encoded.prompt_ids) == rendered(USER, generation=True)
    assert decoded(encoded.response_ids) == "brown fox<|im_end|>"
    assert encoded.response_ids[-1] == TOKENIZER.eos_token_id
    assert ChatEncoder(TOKENIZER).prompt([USER]) == encoded.prompt_ids


def test_several_turns_and_a_response_of_several_messages() -> None:
    prompt = [turn("system", "be brief"), USER, ANSWER, USER]
    response = [ANSWER, USER, turn("assistant", "the fox")]
    encoded = ChatEncoder(TOKENIZER).response(prompt, response)
    whole = decoded(encoded.prompt_ids + encoded.response_ids)
    assert whole == rendered(*prompt, *response).rstrip("\n")


@pytest.mark.parametrize("special", ["<|im_end|>", "<|im_start|>", "<|pad|>"])
@pytest.mark.parametrize("side", ["prompt", "response"])
def test_special_tokens_spelt_in_a_text_stay_text(special: str, side: str) -> None:
    text = f"a {special} b"
    encoder = ChatEncoder(TOKENIZER)
    prompt, response = (
        ([turn("user", text)], [ANSWER])
        if side == "prompt"
        else ([USER], [turn("assistant", text)])
    )
    encoded = encoder.response(prompt, response)
    special_id = TOKENIZER.convert_tokens_to_ids(special)
    plain = encoder.response([turn("user", "a b")], [turn("assistant", "a b")])
    ids, plain_ids = (e.prompt_ids + e.response_ids for e in (encoded, plain))
    assert ids.count(special_id) == plain_ids.count(special_id)
    assert special in decoded(encoded.prompt_ids if side == "prompt" else encoded.response_ids)
    assert encoded.special_text == 1


texts = st.text(alphabet=st.sampled_from("ab \n<|im_end|>\uf8f10日é"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(texts, texts)
def test_no_text_can_end_its_turn_or_get_lost(question: str, answer: str) -> None:
    encoder = ChatEncoder(TOKENIZER)
    encoded = encoder.response([turn("user", question)], [turn("assistant", answer)])
    ends = (encoded.prompt_ids + encoded.response_ids).count(TOKENIZER.eos_token_id)
    assert ends == 2  # the user's turn, and the assistant's
    text = decoded(encoded.prompt_ids + encoded.response_ids)
    assert text == rendered(turn("user", question), turn("assistant", answer)).rstrip("\n")


def test_a_boundary_that_merges_is_realigned() -> None:
    # the space at the prompt's end and the response's first letter are one token together
    template = CHATML.replace(
        "<|im_start|>assistant\n{% endif", "<|im_start|>assistant\nthe {% endif"
    )
    template = template.replace(
        "{{ message['content'] }}",
        "{{ 'the ' if message['role'] == 'assistant' }}{{ message['content'] }}",
    )
    encoder = ChatEncoder(make_tokenizer(template))
    encoded = encoder.response([USER], [turn("assistant", "fox")])
    assert encoded.realigned
    assert encoder.prompt([USER]) == encoded.prompt_ids
    assert decoded(encoded.response_ids) == "fox<|im_end|>"


def test_a_template_without_an_end_of_turn_gets_the_end_of_sequence() -> None:
    template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}" + (
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    encoded = ChatEncoder(make_tokenizer(template)).response([USER], [ANSWER])
    assert decoded(encoded.response_ids) == "brown fox\n<|im_end|>"


def test_a_template_that_rewrites_the_prompt_is_refused_with_both_texts() -> None:
    template = CHATML.replace(
        "<|im_start|>assistant\n{% endif", "<|im_start|>assistant\n<plan>{% endif"
    )
    with pytest.raises(DataError, match="<plan>") as caught:
        ChatEncoder(make_tokenizer(template)).response([USER], [ANSWER])
    assert "chat_template_kwargs" in str(caught.value)


def test_what_follows_the_end_of_the_turn_is_cut() -> None:
    """Phi-3 closes the turn, and at the conversation's end writes another special token."""
    template = CHATML.replace("{% endif %}", "{% else %}<|pad|>{% endif %}")
    encoded = ChatEncoder(make_tokenizer(template)).response([USER], [ANSWER])
    assert decoded(encoded.response_ids) == "brown fox<|im_end|>"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
        ("{{ nothing.at_all }}", "refuses the conversation"),
        ("{% if", "refuses the conversation"),
        ("{% for m in messages[1:] %}{{ m['content'] }}{% endfor %}", "the prompt as nothing"),
    ],
)
def test_a_template_that_can_not_render_is_bad_input(template: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ChatEncoder(make_tokenizer(template)).response([USER], [ANSWER])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"chat_template": None}, "no chat template"), ({"eos_token": None}, "end-of-sequence")],
)
def test_a_tokenizer_that_lacks_something_is_refused(change: dict[str, Any], message: str) -> None:
    tokenizer = make_tokenizer()
    for name, value in change.items():
        setattr(tokenizer, name, value)
    with pytest.raises(UsageError, match=message):
        ChatEncoder(tokenizer)


def test_template_arguments_are_passed_on() -> None:
    template = CHATML + "{{ mood if add_generation_prompt }}"
    encoder = ChatEncoder(make_tokenizer(template), {"mood": "brief"})
    assert decoded(encoder.prompt([USER])).endswith("assistant\nbrief")
