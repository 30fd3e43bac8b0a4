"""Where responses are cut: properties over random pairs, and each rule on a pair made for it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clairkit.batching.encode import CONTEXT, Cut, edit_window, keep_start
from clairkit.scoring import align

END = 99
BODY = st.lists(st.integers(0, 3), max_size=30)
TAIL = [*range(100, 160), END]  # shared, and longer than the context


@st.composite
def long_pairs(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Two different responses with their end tokens, and a room that is too small for one."""
    shared = draw(BODY)
    chosen, rejected = ([*shared, *draw(BODY), *shared, END] for _ in range(2))
    assume(chosen != rejected)
    return chosen, rejected, draw(st.integers(1, max(len(chosen), len(rejected)) - 1))


@pytest.mark.parametrize("cut", [keep_start, edit_window])
@given(given_pair=long_pairs())
def test_sides_fit_and_no_end_stands_alone(
    cut: object, given_pair: tuple[list[int], list[int], int]
) -> None:
    chosen, rejected, room = given_pair
    assert callable(cut)
    found = cut(chosen, rejected, room)
    if found is None:
        return
    assert 0 < found.chosen <= min(room, len(chosen))
    assert 0 < found.rejected <= min(room, len(rejected))
    assert END not in chosen[: found.chosen]
    assert END not in rejected[: found.rejected]


@given(long_pairs())
def test_an_edit_window_keeps_each_edit_that_fits_whole(
    given_pair: tuple[list[int], list[int], int],
) -> None:
    chosen, rejected, room = given_pair
    spans = align(rejected, chosen).spans
    found = edit_window(chosen, rejected, room)
    fitting = [s for s in spans if max(s.chosen_end, s.rejected_end) <= room]
    if found is None:  # or the window has nothing of a side: an insertion at the very start
        nothing = fitting and 0 in (fitting[-1].chosen_end, fitting[-1].rejected_end)
        assert not fitting or nothing or 1 in (len(chosen), len(rejected))
        return
    if not fitting:
        assert spans[0].chosen_start < room
        return
    last = fitting[-1]
    lost = int(found.end_dropped)
    assert found.chosen >= last.chosen_end - lost
    assert found.rejected >= last.rejected_end - lost
    extra = found.chosen - last.chosen_end, found.rejected - last.rejected_end
    assert max(extra) <= CONTEXT
    assert abs(extra[0] - extra[1]) <= lost
    assert found.edits_cut == (len(fitting) < len(spans))


def test_keep_start_cuts_both_alike() -> None:
    assert keep_start([1] * 9, [1] * 8, 5) == Cut(5, 5)


def test_keep_start_takes_the_end_of_the_side_that_fits() -> None:
    assert keep_start([1] * 9, [1, 2, END], 5) == Cut(5, 2, end_dropped=True)
    assert keep_start([1, 2, END], [1] * 9, 5) == Cut(2, 5, end_dropped=True)
    assert keep_start([1] * 9, [1, 2, 3, 4, END], 5) == Cut(5, 4, end_dropped=True)


def test_a_side_of_nothing_but_its_end_is_not_emptied() -> None:
    assert keep_start([1] * 9, [END], 5) is None


def test_an_absent_side_has_no_end_to_lose() -> None:
    assert keep_start([1] * 9, [], 5) == edit_window([1] * 9, [], 5) == Cut(5, 0)


def test_the_common_tail_goes_first() -> None:
    chosen, rejected = [1, 2, *TAIL], [1, 3, 4, *TAIL]
    assert edit_window(chosen, rejected, 50) == Cut(2 + CONTEXT, 3 + CONTEXT)
    assert edit_window(chosen, rejected, 10) == Cut(9, 10)


def test_context_ends_where_the_next_edit_begins() -> None:
    chosen = [1, 2, 70, 71, *[5] * 40, *TAIL]
    rejected = [1, 3, 70, 71, *[6] * 40, *TAIL]
    assert edit_window(chosen, rejected, 30) == Cut(4, 4, edits_cut=True)


def test_a_first_edit_that_does_not_fit_is_cut_within() -> None:
    chosen, rejected = [1, *[5] * 40, END], [1, *[6] * 50, END]
    assert edit_window(chosen, rejected, 20) == Cut(20, 20, edits_cut=True)
    short = [1, 6, END]
    assert edit_window(chosen, short, 20) == Cut(20, 2, end_dropped=True, edits_cut=True)


def test_edits_beyond_the_room_leave_nothing() -> None:
    chosen, rejected = [*TAIL, 1, END], [*TAIL, 2, END]
    assert edit_window(chosen, rejected, len(TAIL)) is None
    assert edit_window(chosen, rejected, len(TAIL) + 1) == Cut(len(TAIL) + 1, len(TAIL) + 1)
