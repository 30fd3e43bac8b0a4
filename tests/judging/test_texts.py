"""The wordings: the same in each language, and a text for each fault."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
from hostile_replies import EDIT_REPLIES, OURS, PAPER

from clairkit.generation.revision.edits import EditFault
from clairkit.generation.revision.reply_forms import ask_again
from clairkit.judging.languages import WORDINGS, wording
from clairkit.judging.wording import Wording

FIELD = re.compile(r"\{\{?\w+\}?\}")
LIMITS = {"edit_share", "length_changed"}


def fields(texts: Wording) -> dict[str, list[str]]:
    """The placeholders of each text, by its name."""
    flat: dict[str, str] = {}
    for name, value in asdict(texts).items():
        flat |= (
            {f"{name}.{key}": text for key, text in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return {name: sorted(FIELD.findall(text)) for name, text in flat.items()}


@pytest.mark.parametrize("language", WORDINGS)
def test_each_language_says_the_same_with_the_same_placeholders(language: str) -> None:
    assert fields(wording(language)) == fields(wording("en"))


@pytest.mark.parametrize("language", WORDINGS)
def test_each_fault_can_be_told(language: str) -> None:
    found = {
        code.partition(" ")[0]
        for case in (*PAPER.values(), *OURS.values(), *EDIT_REPLIES.values())
        if isinstance(case[1], str)
        for code in case[1].split("; ")
    }
    assert set(wording(language).faults) == found | LIMITS
    faults = [EditFault(code, 7, "q{u}ote", 0.5, 0.25) for code in sorted(found | LIMITS)]
    told = "".join(ask_again([fault], wording(language), "0a1b2c3d") for fault in faults)
    assert "{" not in told.replace("q{u}ote", "")


def test_a_long_quote_is_cut_and_marked_as_data() -> None:
    told = ask_again([EditFault("find_missing", 1, "x" * 1000)], wording("en"), "0a1b2c3d")
    assert f"\n[[quote:0a1b2c3d]]\n{'x' * 300}…\n[[quote-end:0a1b2c3d]]\n" in told
    many = ask_again([EditFault("find_empty", number) for number in range(99)], wording("en"), "")
    assert many.count("\n- ") == 20
