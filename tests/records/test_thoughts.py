"""Thoughts and answers told apart: every family's marks, and texts that only talk about them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clairkit.errors import UsageError
from clairkit.records import Message, Pair
from clairkit.records.thoughts import (
    THOUGHT_MARKS,
    Said,
    ThoughtMark,
    marks_as_json,
    opening_mark,
    pair_without_thoughts,
    parse_marks,
    split_thoughts,
)

UNPAIRED = [mark for mark in THOUGHT_MARKS if not mark.paired]
BLOCKS = [mark for mark in UNPAIRED if not mark.unmistakable]


@pytest.mark.parametrize("mark", UNPAIRED, ids=lambda mark: mark.opening)
@pytest.mark.parametrize(
    "form", ["{o}\nhm, 42\n{c}\n\n42.", "{o}hm, 42{c}42.", "\n{o} hm, 42 {c} 42."]
)
def test_a_block_of_any_family_is_split_off(mark: ThoughtMark, form: str) -> None:
    text = form.format(o=mark.opening, c=mark.closing)
    assert split_thoughts(text) == Said("42.", "hm, 42")


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("hm.\n</think>\n\n42.", "42.", "hm."),  # the prompt has opened it
        ("hm</think>\n\n42.", "42.", "hm"),
        ("hm.</think>42.", "42.", "hm."),  # DeepSeek writes no line breaks
        ("\n</think>\n\n42.", "42.", ""),
        ("</think>42.", "42.", ""),
        ("考えます。</think>答えは42です。", "答えは42です。", "考えます。"),
        ("<think>\n\n</think>\n\n42.", "42.", ""),
        ("<think>\nhm", "", "hm"),
        ("<think>\nhm\n</think>\n", "", "hm"),
        ("<think>\n\n</think>\n\n<think>\nhm\n</think>\n\n42.", "42.", "hm"),
        ("<think>about `</think>` then\n</think>\n\n42.", "42.", "about `</think>` then"),
        ("<think>\n```\n</think>\n```\n</think>\n\n42.", "42.", "```\n</think>\n```"),
        ("\ufeff<think>a</think>\r\n\r\nb\r\n", "b\r\n", "a"),
        ("<think>a</think>\n\n    code()", "    code()", "a"),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
            "<|channel|>final<|message|>42.<|return|>",
            "42.",
            "hm",
        ),
        ("analysisWe add.assistantfinal42.", "42.", "We add."),
        ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>42.<|END_RESPONSE|>", "42.", "hm"),
    ],
)
def test_what_models_write(text: str, answer: str, thoughts: str) -> None:
    assert split_thoughts(text) == Said(answer, thoughts)


@pytest.mark.parametrize(
    "text",
    [
        "Close the block with `</think>`.\n\nThen answer.",
        "Close the block with </think> and answer.",
        "Close it with </think>\nand go on.",
        'The model writes "</think>" at the end.\n\nOK.',
        "最後に「</think>」と書きます。\n\n以上です。",
        "最後に</think>と書きます。",
        "In XML:\n\n```xml\n<think>\nhm\n</think>\n```\n\nThat is all.",
        "```\n</think>\n```\n\nis how it ends.",
        "Write <think>\nyour thoughts\n</think>\n\nand then the answer.",
        "It ends with </think>",
        "It ends the thoughts.</think>",
        "analysis of the sum: 42",
        "No marks at all.\n\n  ",
        "",
    ],
)
def test_an_answer_that_talks_about_marks_loses_nothing(text: str) -> None:
    assert split_thoughts(text) == Said(text)


QUOTED = ["`{}`", '"{}"', "“{}”", "「{}」", "'{}'"]
prose = st.text(alphabet=st.sampled_from('ab.\n `"日「」'), max_size=40)


@settings(max_examples=300, deadline=None)
@given(prose, prose, st.sampled_from(BLOCKS))
def test_a_block_gives_back_what_was_put_into_it(
    thoughts: str, answer: str, mark: ThoughtMark
) -> None:
    text = f"{mark.opening}\n{thoughts}\n{mark.closing}\n\nx{answer}"
    assert split_thoughts(text) == Said(f"x{answer}", thoughts.strip())


@settings(max_examples=300, deadline=None)
@given(
    prose,
    prose,
    st.sampled_from(BLOCKS),
    st.sampled_from(["`{}`", '"{}"', "“{}”", "「{}」", "'{}'"]),
)
def test_a_quoted_mark_costs_no_text(
    before: str, after: str, mark: ThoughtMark, quotes: str
) -> None:
    before = before.translate(str.maketrans("", "", '`"「」'))
    text = before + quotes.format(mark.closing) + after
    assert split_thoughts(text) == Said(text)


@settings(max_examples=200, deadline=None)
@given(prose, st.sampled_from(BLOCKS))
def test_a_mark_in_a_code_fence_costs_no_text(before: str, mark: ThoughtMark) -> None:
    before = before.replace("`", "")
    text = f"{before}\n```\n{mark.opening}\n{mark.closing}\n```\n"
    assert split_thoughts(text) == Said(text)


pieces = st.lists(st.sampled_from(["a", " ", "\n", ".", "`", "<think>", "</think>"]), max_size=12)


@settings(max_examples=500, deadline=None)
@given(pieces)
def test_no_letter_is_lost_and_none_stands_twice(parts: list[str]) -> None:
    text = "".join(parts)
    said = split_thoughts(text)
    if said.thoughts is None:
        assert said.answer == text
    else:
        assert (said.thoughts + said.answer).count("a") == text.count("a")
        assert not said.answer.startswith("<think>")


def test_a_prompt_that_is_known_to_open_thoughts_leaves_no_doubt() -> None:
    assert opening_mark("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opening_mark("<|im_start|>assistant\n<think>\n\n</think>\n\n") is None
    assert split_thoughts("use </think> 42.", opened="<think>") == Said("42.", "use")
    assert split_thoughts("I never end", opened="<think>") == Said("", "I never end")
    assert split_thoughts("I never end") == Said("I never end")


def test_marks_of_ones_own() -> None:
    marks = parse_marks(["<plan> </plan>", "[[done]]"])
    assert marks_as_json(marks) == [["<plan>", "</plan>"], ["", "[[done]]"]]
    assert split_thoughts("<plan>a</plan>b", marks) == Said("b", "a")
    assert split_thoughts("anything [[done]] b", marks) == Said("b", "anything")
    assert split_thoughts("<think>a</think>b", parse_marks(["none"])) == Said("<think>a</think>b")
    assert parse_marks([]) == THOUGHT_MARKS
    with pytest.raises(UsageError, match="thought marks"):
        parse_marks(["a b c"])


def test_a_pair_keeps_its_file_and_loses_its_thoughts() -> None:
    def side(text: str) -> tuple[Message, ...]:
        return (Message(role="assistant", content=text),)

    pair = Pair(
        (Message(role="user", content="<think>q</think>"),), side("<think>a</think>b"), side("c")
    )
    bare, had = pair_without_thoughts(pair)
    assert (had, bare.chosen, bare.rejected, bare.prompt, bare.id) == (
        True,
        side("b"),
        side("c"),
        pair.prompt,
        pair.id,
    )
    assert pair_without_thoughts(bare) == (bare, False)


def test_no_text_takes_quadratic_time() -> None:
    for text in ("</think> x " * 100_000, "`</think>`\n" * 100_000, "<think></think>" * 50_000):
        assert len(split_thoughts(text).answer) <= len(text)
