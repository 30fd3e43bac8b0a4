"""The texts that a reviser is sent, byte by byte: the keys of every journal hold them.

A digest that changes here makes every answer of an earlier run be asked for again.
"""

from __future__ import annotations

import pytest
from hostile_replies import EDIT_REPLIES, OURS, PAPER

from clairkit.generation.revision.edits import EditFault
from clairkit.generation.revision.reply_forms import ask_again
from clairkit.generation.revision.templates import Goal, load_template, wording
from clairkit.judging.rubrics import TEXTS
from clairkit.records import digest
from clairkit.texts import languages

TEMPLATES = """
en clair               3f73cac9bba95885
en clair worse         599336c354b19f64
en clair neutral       d09deb082b376957
en clair neutral,worse b57d756a702f2ae4
en clair-paper         293440df0ee4715e
en clair-paper neutral 8e9a51e545a0c436
en edits               14d5d8db30af32db
en edits worse         4dd09fcf15c10c5f
en edits neutral       60c9d37f14a1a22a
en edits neutral,worse 0c18ec39db6930db
ja clair               bcae19553f8b10ac
ja clair worse         0075aed1e4e373ce
ja clair neutral       256b33f943d524fb
ja clair neutral,worse 91178600022dfc57
ja clair-paper         f71226eabfe6ff56
ja clair-paper neutral f3c56f09f8604807
ja edits               158b469d8b8324f7
ja edits worse         5b3fdab46f6e4534
ja edits neutral       ff14619e1948bf79
ja edits neutral,worse 3b59ab3bf0ce0853
"""
FAULTS = {
    code.partition(" ")[0]
    for case in (*PAPER.values(), *OURS.values(), *EDIT_REPLIES.values())
    if isinstance(case[1], str)
    for code in case[1].split("; ")
} | {"edit_share", "length_changed"}


@pytest.mark.parametrize("line", TEMPLATES.strip().splitlines())
def test_a_request_is_what_it_always_was(line: str) -> None:
    language, name, *goals, expected = line.replace(",", " ").split()
    goal = Goal(language, length_neutral="neutral" in goals, worsen="worse" in goals)
    assert load_template(name, goal=goal).hash == expected


@pytest.mark.parametrize(
    ("language", "expected"), [("en", "953de3bbb049c5dd"), ("ja", "630ccbf3c5c62468")]
)
def test_what_asks_again_is_what_it_always_was(language: str, expected: str) -> None:
    assert set(wording(language)["faults"]) == FAULTS
    faults = [EditFault(code, 7, "q{u}ote", 0.5, 0.25) for code in sorted(FAULTS)]
    told = [ask_again([fault], language, "0a1b2c3d") for fault in faults]
    assert digest(told)[:16] == expected
    assert "{" not in "".join(told).replace("q{u}ote", "")


def test_a_long_quote_is_cut_and_marked_as_data() -> None:
    told = ask_again([EditFault("find_missing", 1, "x" * 1000)], "en", "0a1b2c3d")
    assert f"\n[[quote:0a1b2c3d]]\n{'x' * 300}…\n[[quote-end:0a1b2c3d]]\n" in told
    many = ask_again([EditFault("find_empty", number) for number in range(99)], "en", "")
    assert many.count("\n- ") == 20


def test_a_language_of_requests_is_one_of_judges_too() -> None:
    assert languages("generation/revision/texts") == languages(TEXTS)
