"""Revisions: what is asked, what is asked again and how, what is held to which limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clairkit.engine.program import Call
from clairkit.generation.revision.edits import Edit
from clairkit.generation.revision.parser import Revision
from clairkit.generation.revision.revise import Revised, revise
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.journal.results import Recorded
from clairkit.models.sampling import Failure, Outcome, Reply, Sampling
from clairkit.records import Message, PromptRow

ANSWER = "Pens cost 12 each.\nTwo pens cost 20.\nTwo pads cost 20.\n"
ROW = PromptRow(
    (
        Message(role="system", content="Speak plainly."),
        Message(role="user", content="What is a pen?"),
        Message(role="assistant", content="12."),
        Message(role="user", content="And two?"),
    ),
    ANSWER,
)
SAMPLING = Sampling(temperature=0.0)
BIG = ANSWER.replace("pens", "fountain pens of gold").replace("pads", "pads of vellum")


@dataclass(frozen=True)
class Named:
    """A model that is only named: its replies are scripted here."""

    name: str = "openai:gpt"
    is_function: bool = False
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "openai", "model": "gpt"})
    batch_size: int = 1
    concurrency: int = 1


def nonce_in(call: Call) -> str:
    request = call.task.messages[0]["content"]
    return request.rpartition("[[end:")[2][:8]


def edits(*pairs: tuple[str, str]) -> Callable[[str], str]:
    def reply(nonce: str) -> str:
        tag = nonce[:2]
        parts = [f"[[find:{tag}]]\n{old}\n[[replace:{tag}]]\n{new}" for old, new in pairs]
        return "\n".join([f"W.\n[[edits:{nonce}]]", *parts, f"[[end:{nonce}]]"])

    return reply


def whole(text: str) -> Callable[[str], str]:
    return lambda nonce: f"W.\n[[revision:{nonce}]]\n{text}\n[[end:{nonce}]]"


Script = Callable[[str], str] | Outcome


def ask(script: Sequence[Script], **settings: Any) -> tuple[Revised, list[Call]]:
    """Let the script reply, and return what became of the answer and what was asked."""
    reviser = settings.pop("reviser", Named())
    program = revise(
        ROW,
        ANSWER,
        reviser=reviser,
        settings=ReviseSettings(**settings),
        sampling=SAMPLING,
        stage=3,
    )
    asked: list[Call] = []
    try:
        calls = next(program)
        for entry in script:
            (call,) = calls
            asked.append(call)
            outcome = Reply(entry(nonce_in(call))) if callable(entry) else entry
            calls = program.send([Recorded(1, outcome)])
    except StopIteration as end:
        return end.value, asked
    raise AssertionError("the program asks more than was scripted")


def test_edits_are_applied() -> None:
    revised, (call,) = ask([edits(("pens cost 20", "pens cost 24"))], form="edits")
    assert revised.revision == Revision(ANSWER.replace("20", "24", 1), "W.")
    assert revised.edits == (Edit(23, 35, "pens cost 20", "pens cost 24"),)
    assert (len(revised.recorded), call.step, call.stage) == (1, "revise", 3)


def test_the_last_turn_is_revised_with_all_before_it_in_view() -> None:
    _, (call,) = ask([edits()], form="edits")
    (message,) = call.task.messages
    nonce = nonce_in(call)
    turns = "\n".join(
        f"[[{role}:{nonce}]]\n{text}"
        for role, text in (
            ("system", "Speak plainly."),
            ("user", "What is a pen?"),
            ("assistant", "12."),
            ("user", "And two?"),
        )
    )
    assert f"{turns}\n[[conversation-end:{nonce}]]" in message["content"]
    assert f"[[answer:{nonce}]]\n{ANSWER}\n[[answer-end:{nonce}]]" in message["content"]
    assert f"[[find:{nonce[:2]}]]\n" in message["content"]


def test_no_edit_gives_the_answer_back() -> None:
    revised, _ = ask([edits()], form="edits")
    assert (revised.revision, revised.edits) == (Revision(ANSWER, "W."), ())


def test_edits_that_do_not_fit_are_asked_again_by_name() -> None:
    bad = edits(("cost 20", "cost 24"), ("pencils", "pens"), ("Pens", "Pins"))
    revised, (first, second) = ask([bad, edits(("pens cost 20", "pens cost 24"))], form="edits")
    assert revised.revision == Revision(ANSWER.replace("20", "24", 1), "W.")
    assert len(revised.recorded) == 2
    assert (second.step, second.stage) == ("revise.2", 4)
    assert first.task.key != second.task.key
    *before, said, told = second.task.messages
    nonce = nonce_in(first)
    assert tuple(before) == first.task.messages
    assert said == Message(role="assistant", content=bad(nonce))
    assert told["role"] == "user"
    assert "edit 1 stands in the answer more than once" in told["content"]
    assert f"[[quote:{nonce}]]\ncost 20\n[[quote-end:{nonce}]]" in told["content"]
    assert "edit 2 does not stand in the answer" in told["content"]
    assert f"[[quote:{nonce}]]\npencils\n" in told["content"]
    assert "edit 3" not in told["content"]


def test_a_models_thoughts_are_not_sent_back() -> None:
    _, (_, second) = ask([Reply("<think>\nHm.\n</think>\nSure."), edits()], form="edits")
    assert second.task.messages[1] == Message(role="assistant", content="Sure.")
    _, (_, second) = ask([Reply("<think>\nHm."), edits()], form="edits")
    assert second.task.messages[1] == Message(role="assistant", content="<think>\nHm.")


def test_the_last_ask_decides() -> None:
    bad = edits(("pencils", "pens"))
    for asks in (1, 3):
        revised, calls = ask([bad] * asks, form="edits", asks=asks)
        assert isinstance(revised.revision, Failure)
        assert revised.revision.reason == "edit_failed"
        assert revised.revision.detail == "find_missing in edit 1"
        assert [call.step for call in calls] == ["revise", "revise.2", "revise.3"][:asks]
        assert len(revised.recorded) == asks


@pytest.mark.parametrize(
    "outcome",
    [
        Failure("too_long", "no room"),
        Reply("W.", "length"),
        Reply("I'm sorry, but I can't help with that."),
    ],
)
def test_what_would_not_get_better_is_asked_once(outcome: Outcome) -> None:
    revised, calls = ask([outcome])
    assert isinstance(revised.revision, Failure)
    assert revised.revision.reason in ("too_long", "truncated", "refusal")
    assert len(calls) == 1


def test_a_reply_out_of_form_is_asked_again() -> None:
    revised, (_, second) = ask([Reply(f"Sure:\n{ANSWER}"), whole(ANSWER.replace("20", "24", 1))])
    assert revised.revision == Revision(ANSWER.replace("20", "24", 1), "W.")
    assert "a mark is missing" in second.task.messages[-1]["content"]


def test_too_large_a_share_of_edits_is_asked_again_then_fails() -> None:
    small = ANSWER.replace("20", "24", 1)
    revised, (_, second) = ask([whole(BIG), whole(small)], max_edit_share=0.2)
    assert revised.revision == Revision(small, "W.")
    told = second.task.messages[-1]["content"]
    assert "at most 20 % may change" in told
    # 27 of its 82 graphemes were put in; of the answer nothing was taken out.
    assert f"changes {2700 / 82:.3g} % of" in told
    revised, _ = ask([whole(BIG), whole(BIG)], max_edit_share=0.2)
    assert isinstance(revised.revision, Failure)
    assert (revised.revision.reason, revised.revision.text) == ("edit_share", BIG)
    assert revised.revision.detail == f"{27 / 82:.3f} of a side, and at most 0.2 may be"
    revised, _ = ask([whole(BIG)], max_edit_share=27 / 82)
    assert revised.revision == Revision(BIG, "W.")


def test_a_length_is_kept_when_asked_for() -> None:
    revised, (_, second) = ask([whole(BIG), whole(BIG)], length_neutral=True)
    assert isinstance(revised.revision, Failure)
    assert revised.revision.reason == "length_changed"
    assert f"{100 * 82 / 55:.3g} % of the answer's length" in second.task.messages[-1]["content"]
    revised, _ = ask([whole(ANSWER.replace("20", "24"))], length_neutral=True)
    assert isinstance(revised.revision, Revision)


def test_a_function_is_asked_once_and_held_to_the_limits() -> None:
    function = Named("python:x:y", is_function=True)
    revised, (call,) = ask([Reply(BIG)], reviser=function, max_edit_share=0.2)
    assert call.task.messages == ()
    assert isinstance(revised.revision, Failure)
    assert revised.revision.reason == "edit_share"
    revised, _ = ask([Reply(" as is ", rationale="R.")], reviser=function)
    assert revised.revision == Revision(" as is ", "R.")


@pytest.mark.parametrize("said", ["Two\npads.", " Two\npads.", "\n\n Two\r\npads.  "])
def test_a_rewritten_answer_keeps_its_outer_space_and_line_breaks(said: str) -> None:
    answer = " \r\n Two\r\npens.\r\n\n"
    program = revise(
        PromptRow(ROW.prompt, answer),
        answer,
        reviser=Named(),
        settings=ReviseSettings(),
        sampling=SAMPLING,
    )
    (call,) = next(program)
    with pytest.raises(StopIteration) as end:
        program.send([Recorded(1, Reply(whole(said)(nonce_in(call))))])
    assert end.value.value.revision.text == " \r\n Two\r\npads.\r\n\n"


def test_what_determines_a_result_determines_its_key(tmp_path: Path) -> None:
    file = tmp_path / "house.txt"
    file.write_text("- No adverbs.")
    variants: list[dict[str, Any]] = [
        {},
        {"form": "edits"},
        {"template": "clair-paper"},
        {"rubric": "concise"},
        {"rubric": f"concise,{file}"},
        {"language": "ja"},
        {"length_neutral": True},
        {"worsen": True},
        {"form": "edits", "worsen": True},
    ]

    def key(**options: Any) -> str:
        (call,) = ask([Failure("x")], **options)[1]
        return call.task.key

    keys = {key(**options) for options in variants}
    assert len(keys) == len(variants)
    # These decide only what becomes of a reply: with others, replies that are there still serve.
    base = key()
    for options in ({"max_edit_share": 0.5}, {"asks": 3}):
        assert key(**options) == base
        assert ReviseSettings(**options).settings() != ReviseSettings().settings()
