"""Edit spans and the blocks between them: against a plain dynamic programme, and at scale."""

from __future__ import annotations

import random
from itertools import pairwise
from unittest import mock

import pytest
from counted_work import count_cells, counted_calls
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError
from clairkit.scoring import Alignment, EditSpan, align, blocks, spans

SMALL = st.text(alphabet="abcd", max_size=24)


def lcs_length(first: str, second: str) -> int:
    """The textbook table, as an independent reference."""
    row = [0] * (len(second) + 1)
    for unit in first:
        before = row[:]
        for at, other in enumerate(second, 1):
            row[at] = before[at - 1] + 1 if unit == other else max(before[at], row[at - 1])
    return row[-1]


def applied(rejected: str, chosen: str, found: spans.Alignment) -> str:
    """`rejected` with its spans replaced by those of `chosen`."""
    text, at = "", 0
    for span in found.spans:
        text += rejected[at : span.rejected_start] + chosen[span.chosen_start : span.chosen_end]
        at = span.rejected_end
    return text + rejected[at:]


@pytest.mark.parametrize(
    ("rejected", "chosen", "expected"),
    [
        ("", "", []),
        ("abc", "abc", []),
        ("", "ab", [(0, 0, 0, 2)]),
        ("ab", "", [(0, 2, 0, 0)]),
        ("abc", "axc", [(1, 2, 1, 2)]),
        ("abcdef", "abXdef", [(2, 3, 2, 3)]),
        ("abcdef", "Xabcdef", [(0, 0, 0, 1)]),
        ("aXbYc", "abc", [(1, 2, 1, 1), (3, 4, 2, 2)]),
        ("ab", "xyz", [(0, 2, 0, 3)]),
    ],
)
def test_spans_of_known_edits(
    rejected: str, chosen: str, expected: list[tuple[int, int, int, int]]
) -> None:
    assert list(align(rejected, chosen).spans) == [EditSpan(*span) for span in expected]


def test_equal_units_are_kept_where_levenshtein_would_substitute() -> None:
    # Three substitutions cost Levenshtein 3; Indel keeps "bc" and counts four edits at the ends.
    found = align("abcd", "bcxy")
    kept = 4 - found.deleted
    assert (kept, found.deleted, found.inserted) == (2, 2, 2)


@given(SMALL, SMALL)
def test_spans_are_least_and_rebuild_chosen(rejected: str, chosen: str) -> None:
    found = align(rejected, chosen)
    shared = lcs_length(rejected, chosen)
    assert found.exact
    assert found.deleted == len(rejected) - shared
    assert found.inserted == len(chosen) - shared
    assert applied(rejected, chosen, found) == chosen
    for left, right in pairwise(found.spans):
        assert right.rejected_start - left.rejected_end == right.chosen_start - left.chosen_end > 0


@given(SMALL, SMALL)
def test_spans_change_places_with_the_sides(rejected: str, chosen: str) -> None:
    mirrored = tuple(
        EditSpan(span.chosen_start, span.chosen_end, span.rejected_start, span.rejected_end)
        for span in align(chosen, rejected).spans
    )
    assert align(rejected, chosen).spans == mirrored


@given(st.lists(st.integers(0, 3), max_size=60), st.lists(st.integers(0, 3), max_size=60))
def test_the_approximation_is_sound(rejected: list[int], chosen: list[int]) -> None:
    ours, theirs = ("".join("abcd"[unit] for unit in side) for side in (rejected, chosen))
    with (
        mock.patch.object(blocks, "EXACT_CELLS", 0),
        mock.patch.object(blocks, "_SLICE", (2, 5)),
        mock.patch.object(blocks, "_GRAM", 3),
    ):
        found = align(ours, theirs)
        mirrored = align(theirs, ours)
    assert applied(ours, theirs, found) == theirs
    assert len(ours) - found.deleted <= lcs_length(ours, theirs)
    assert (mirrored.deleted, mirrored.inserted) == (found.inserted, found.deleted)


def test_a_long_pair_with_near_edits_is_exact() -> None:
    shared = list(range(100_000))
    found = align(shared, [*shared[:50_000], -1, *shared[50_001:]])
    assert found.exact
    assert found.spans == (EditSpan(50_000, 50_001, 50_000, 50_001),)


def test_anchors_find_a_moved_start() -> None:
    # 30,000 new units in front would shift every slice: only anchors see that the rest is equal.
    rng = random.Random(1)
    shared = [rng.randrange(5_000) for _ in range(60_000)]
    edited = [rng.randrange(5_000) for _ in range(30_000)] + shared[:30_000] + shared[30_010:] + [1]
    found = align([*shared, 2], edited)
    assert not found.exact
    assert found.deleted == 11
    assert found.inserted == pytest.approx(30_001, abs=10)


def test_anchors_that_lead_astray_do_no_harm() -> None:
    # Sentence i on one side has the unique number of sentence 7 i on the other.
    ours, theirs = (
        "".join(f"The quick brown fox, {at * step} jumps. " for at in range(2_000))
        for step in (1, 7)
    )
    found = align(ours, theirs)
    assert not found.exact
    assert found.deleted < 0.15 * len(ours)


def within_bounds(monkeypatch: pytest.MonkeyPatch, *sides: list[int]) -> Alignment:
    """Align at a cost that grows with the length: 0.4 s for 100,000 units; 10^10 cells at worst."""
    cells = count_cells(monkeypatch)
    found, calls = counted_calls(lambda: align(*sides))
    assert sum(cells) <= blocks.EXACT_CELLS
    assert calls < 20 * len(sides[0])
    return found


@pytest.mark.parametrize("kinds", [200, 50_000])
def test_100k_units_are_not_compared_all_with_all(
    monkeypatch: pytest.MonkeyPatch, kinds: int
) -> None:
    rng = random.Random(2)
    sides = [[rng.randrange(kinds) for _ in range(100_000)] for _ in range(2)]
    found = within_bounds(monkeypatch, *sides)
    assert not found.exact
    assert 0 < found.deleted < 100_000


def test_100k_units_with_every_tenth_edited_are_aligned_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(3)
    rejected = [rng.randrange(5_000) for _ in range(100_000)]
    chosen = [5_000 + at if at % 10 == 0 else unit for at, unit in enumerate(rejected)]
    found = within_bounds(monkeypatch, rejected, chosen)
    assert found.deleted == found.inserted == 10_000
    assert len(found.spans) == 10_000


def test_common_prefix_counts_what_both_begin_with() -> None:
    assert align("abcd", "abxd").common_prefix == 2
    assert align("xa", "ya").common_prefix == 0
    assert align("ab", "ab").common_prefix == 2
    assert align("", "ab").common_prefix == 0


def test_too_many_kinds_of_units_are_refused() -> None:
    with mock.patch.object(spans, "_HIGHEST", 3), pytest.raises(DataError, match="different units"):
        align("abc", "def")


class Sliced(str):
    """Counts the characters that its slices copy."""

    copied = 0

    def __getitem__(self, key: object) -> str:
        part = super().__getitem__(key)  # type: ignore[index]  # what a string takes
        Sliced.copied += len(part)
        return part


@given(SMALL, SMALL, st.integers(0, 24), st.integers(0, 24))
def test_what_is_common_from_a_place_on(first: str, second: str, one: int, two: int) -> None:
    shared = blocks.common_prefix(first, second, min(one, len(first)), min(two, len(second)))
    ours, theirs = first[one:], second[two:]
    assert ours[:shared] == theirs[:shared]
    assert not (ours[shared : shared + 1] and ours[shared] == theirs[shared : shared + 1])


def test_a_short_common_run_costs_little_in_a_long_text() -> None:
    """At each of many anchors: work that goes with the text's length makes it quadratic."""
    first, second = Sliced("a" * 20 + "b" * 100_000), Sliced("a" * 20 + "c" * 100_000)
    assert blocks.common_prefix(first, second, 0, 0) == 20
    assert Sliced.copied < 1000


def test_many_anchors_are_aligned_with_work_that_grows_with_the_text() -> None:
    def copied(count: int) -> int:
        units = [chr(0x4E00 + at % 20_000) + chr(0x100 + at // 20_000) for at in range(count)]
        ours = [unit if at % 12 else "x" for at, unit in enumerate(units)]
        first, second = spans._encoded(ours, [u if u != "x" else "y" for u in ours])
        Sliced.copied = 0
        with mock.patch.object(blocks, "EXACT_CELLS", 10_000):
            blocks.matching_blocks(Sliced(first), Sliced(second))
        return Sliced.copied

    assert copied(8000) < 2.5 * copied(4000)
