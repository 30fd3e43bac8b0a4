"""The cases of the step suite: names, and counts that say what they are for."""

from __future__ import annotations

from clairkit.bench.step.cases import QUICK, SUITE

KNOWN = {case.name: case for case in (*QUICK, *SUITE)}


def test_cases_have_names_of_their_own() -> None:
    assert len(KNOWN) == len(QUICK) + len(SUITE)
    assert all(len(name) <= 20 for name in KNOWN)


def test_counts() -> None:
    tiny = KNOWN["tiny"]  # pairs of 12 + 20 + 16 and 6 + 24 + 18 tokens
    assert tiny.response_tokens == 20 + 16 + 24 + 18
    assert tiny.padded_tokens == 2 * 2 * 32
    assert tiny.packed_tokens == 2 * 12 + 36 + 2 * 6 + 42
    assert tiny.shared_tokens == tiny.packed_tokens - 12 - 6


def test_the_mixed_case_is_the_one_of_the_bar() -> None:
    case = KNOWN["v32k-mixed"]
    assert (case.vocabulary, case.hidden, case.layers, len(case.lengths)) == (32768, 512, 8, 8)
    assert {pair.prompt for pair in case.lengths} == {512}
    lengths = [size for pair in case.lengths for size in (pair.chosen, pair.rejected)]
    assert (min(lengths), max(lengths)) == (64, 512)


def test_half_of_the_tokens_are_prompt() -> None:
    for pair in KNOWN["v32k-share50"].lengths:
        assert pair.prompt == pair.chosen + pair.rejected
    for pair in KNOWN["v32k-share50-rows"].lengths:
        assert pair.prompt == pair.chosen == pair.rejected
