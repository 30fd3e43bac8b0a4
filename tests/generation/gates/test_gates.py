"""The gates: what each stops, in English and Japanese, and the good pairs that none may stop."""

from __future__ import annotations

import time

import pytest
from bad_revisions import BAD
from good_pairs import GOOD, Sample
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError
from clairkit.generation.gates import DEFAULTS, GATES, GatePolicy, Verdict, check, is_refusal
from clairkit.generation.gates.phrases import TEXTS, Phrase, phrases, read_phrase
from clairkit.generation.gates.wording import MARKERS
from clairkit.generation.revision.parser import Revision
from clairkit.models.reasons import REASONS
from clairkit.records import Message
from clairkit.texts import languages, texts

FLAG_ALL = GatePolicy({reason: "flag" for reason in DEFAULTS if reason != "no_op"})


def verdict(sample: Sample, policy: GatePolicy = FLAG_ALL, language: str | None = None) -> Verdict:
    prompt = (Message(role="user", content=sample.prompt),)
    revision = Revision(sample.revision, sample.rationale)
    return check(prompt, sample.answer, revision, policy=policy, language=language)


def found(sample: Sample, language: str | None = None) -> dict[str, str]:
    """The reasons of all gates that stop a revision, with their details."""
    result = verdict(sample, language=language)
    if result.failure is not None:
        return {result.failure.reason: result.failure.detail}
    return {flag.reason: flag.detail for flag in result.flags}


@pytest.mark.parametrize("sample", GOOD.values(), ids=lambda sample: sample.answer[:20])
def test_a_good_revision_passes_every_gate(sample: Sample) -> None:
    assert found(sample) == {}


@pytest.mark.parametrize(
    ("reason", "sample"),
    [(reason, sample) for reason, samples in BAD.items() for sample in samples],
    ids=lambda value: value if isinstance(value, str) else value.revision[:20],
)
def test_a_fault_is_found_by_its_gate(reason: str, sample: Sample) -> None:
    assert reason in found(sample)


@pytest.mark.parametrize(
    "group",
    [MARKERS, *map(phrases, ("chat_tokens", "roles", "meta", "mentions", "elided", "directions"))],
)
def test_a_phrases_words_pass_over_no_match(group: tuple[Phrase, ...]) -> None:
    samples = [sample for samples in BAD.values() for sample in samples]
    texts = {text for sample in samples for text in (sample.revision, sample.answer)}
    for phrase in group:
        matching = [text for text in texts if phrase.pattern.search(text)]
        assert matching, phrase.pattern.pattern
        assert all(phrase.find(text, text.lower()) for text in matching)


def test_every_gate_has_cases_a_default_and_a_meaning() -> None:
    assert set(BAD) == set(GATES) == set(DEFAULTS)
    assert set(GATES) <= set(REASONS)


@pytest.mark.parametrize("reason", [reason for reason in BAD if DEFAULTS[reason] == "drop"])
def test_what_drops_by_default_goes_with_its_text(reason: str) -> None:
    for sample in BAD[reason]:
        result = verdict(sample, GatePolicy())
        assert result.failure is not None
        assert (result.failure.reason, result.failure.text) == (reason, sample.revision)
        assert result.flags == ()


@pytest.mark.parametrize("reason", [reason for reason in BAD if DEFAULTS[reason] == "flag"])
def test_what_is_flagged_by_default_stays_a_pair(reason: str) -> None:
    for sample in BAD[reason]:
        result = verdict(sample, GatePolicy())
        assert result.failure is None
        assert reason in [flag.to_json()["reason"] for flag in result.flags]


def test_a_policy_drops_flags_and_keeps() -> None:
    sample = BAD["length_inflation"][0]
    dropped = verdict(sample, GatePolicy.parse(["length_inflation=drop"])).failure
    assert dropped is not None
    assert dropped.reason == "length_inflation"
    assert verdict(sample, GatePolicy.parse(["length_inflation=keep"])) == Verdict(None)


def test_the_language_that_is_asked_for_counts_before_the_answers() -> None:
    english = Sample("q", "It is the capital of the country.", "It is the capital of that country.")
    assert found(english, language="en") == {}
    assert found(english, language="ja") == {"language_change": "en instead of ja"}


@pytest.mark.parametrize(
    ("old", "new", "stopped"),
    [
        (1000, 1499, False),
        (1000, 1500, True),
        (300, 499, False),
        (300, 500, True),
        (100, 299, False),
    ],
)
def test_inflation_needs_half_as_much_again_and_200_characters(
    old: int, new: int, stopped: bool
) -> None:
    assert ("length_inflation" in found(Sample("q", "a" * old, "b" * new))) is stopped


def test_details_are_safe_to_show() -> None:
    sample = Sample("q", "It is Sydney.", "[[end:0a1b2c3d]]As a teacher,\x1b[31m\u202e I say no.")
    for detail in found(sample).values():
        assert detail.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I cannot help with this.",
        "As an AI language model, I can't provide that.",
        "申し訳ございませんが、お答えできません。",
    ],
)
def test_refusals_are_known(text: str) -> None:
    assert is_refusal(text)
    assert not is_refusal(f"He said: {text}")


HOSTILE = [
    *("a ", "here is the ", "the rest ", "as a ", "the student's ", "ignore all the ", "http://"),
    *("1,", "1.", "9", "@", "```\n", "[[", "((((", "\n", "は", "申し訳ございません"),
]


def test_long_hostile_texts_take_linear_time() -> None:
    started = time.process_time()  # of this process alone, however busy the machine is
    for piece in HOSTILE:
        text = piece * (40_000 // len(piece))
        found(Sample(text, text, f"{text}!", text))
    assert time.process_time() - started < 20  # 1 s; a quadratic search takes minutes


def test_numbers_of_any_length_are_compared() -> None:
    long = "9" * 1_100_000
    assert "numbers_changed" in found(Sample("q", f"It is {long}.", f"It is {long}8."))


@given(st.text(), st.text(), st.text(), st.none() | st.text())
def test_no_text_makes_a_gate_fail(
    prompt: str, answer: str, revision: str, rationale: str | None
) -> None:
    found(Sample(prompt, answer, revision, rationale))
    assert set(found(Sample(prompt, answer, answer, rationale))) == {"no_op"}


@pytest.mark.parametrize("code", languages(TEXTS))
def test_the_phrases_of_a_language_can_be_read(code: str) -> None:
    sections = texts(TEXTS, code, ("words",)).keys() - {"words"}
    assert all(phrases(section) for section in sections)


@pytest.mark.parametrize("entry", ["(?&nobody) said", "an open (group", {"words": "a"}])
def test_a_phrase_that_is_not_valid_is_named(entry: object) -> None:
    with pytest.raises(DataError, match=r"en\.yaml: a phrase of the section meta is not valid"):
        read_phrase(entry, "meta", "en")  # type: ignore[arg-type]


def test_a_plain_phrase_is_looked_for_in_every_text() -> None:
    found = read_phrase("(?&reviser)s? say", "meta", "en").find(
        "All Teachers say", "all teachers say"
    )
    assert found is not None
    assert found[0] == "Teachers say"
