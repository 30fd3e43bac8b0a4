"""What votes show: the e-process, agreement, and raters who can't be relied on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from label_cases import all_rows, item, made_key, row, toward, votes_of

from clairkit.labels import Key, LabelPlan, Rater, agreement, assess, collect, draw, weigh
from clairkit.labels.key import Shown
from clairkit.statistics.e_process import least_share, log_e_value

# Evidence


def is_enough(wins: int, losses: int) -> bool:
    return log_e_value(wins, losses) >= math.log(20)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (8, 0), (3, 5), (30, 12)])
def test_e_is_the_likelihood_under_a_mixture(wins: int, losses: int) -> None:
    """Against a sum over shares from 0 to 1, midpoint rule."""
    steps = 20_000
    shares = [(at + 0.5) / steps for at in range(steps)]
    mixture = math.fsum(p**wins * (1 - p) ** losses for p in shares) / steps
    assert log_e_value(wins, losses) == pytest.approx(
        math.log(mixture * 2.0 ** (wins + losses)), abs=1e-6
    )


def test_e_is_fair_without_a_preference() -> None:
    """Its mean over all ways that ten votes can fall is 1."""
    votes = product((0, 1), repeat=10)
    mean = math.fsum(math.exp(log_e_value(sum(each), 10 - sum(each))) for each in votes) / 2**10
    assert mean == pytest.approx(1)


def test_looking_after_every_vote_alarms_in_at_most_five_per_cent() -> None:
    drawn, alarms, runs = random.Random(7), 0, 1000
    for _ in range(runs):
        wins = 0
        for votes in range(1, 201):
            wins += drawn.random() < 0.5
            if is_enough(wins, votes - wins):
                alarms += 1
                break
    assert alarms / runs <= 0.05


def is_alarm(drawn: random.Random, *, first_alone: bool) -> bool:
    """Three raters who mostly agree on items without a preference; a look after each vote."""
    sides = [drawn.random() < 0.5 for _ in range(60)]
    votes = [(place, rater) for rater in range(3) for place in range(60)]
    drawn.shuffle(votes)
    counted: dict[bool, int] = {True: 0, False: 0}
    seen: set[int] = set()
    for place, _ in votes:
        if first_alone and place in seen:
            continue
        seen.add(place)
        counted[sides[place] if drawn.random() < 0.95 else not sides[place]] += 1
        if is_enough(counted[True], counted[False]):
            return True
    return False


def test_several_raters_count_once_an_item() -> None:
    """Planted: counting all their votes gives more false alarms than is promised."""
    drawn = random.Random(3)
    alarms = [
        sum(is_alarm(drawn, first_alone=first) for _ in range(800)) for first in (True, False)
    ]
    assert alarms[0] / 800 <= 0.05 < alarms[1] / 800


@pytest.mark.parametrize(("share", "half"), [(0.8, 19), (0.7, 45), (0.65, 83), (0.6, 210)])
def test_how_many_the_documentation_says(share: float, half: int) -> None:
    drawn, lengths = random.Random(1), []
    for _ in range(400):
        wins = votes = 0
        while not is_enough(wins, votes - wins):
            wins += drawn.random() < share
            votes += 1
        lengths.append(votes)
    assert sorted(lengths)[200] == pytest.approx(half, rel=0.2)


def test_what_is_needed() -> None:
    assert [least_share(n) for n in (7, 8, 20, 60)] == [None, 1.0, 0.85, 0.7]


# Agreement

KEY = made_key(40, raters=("A", "B"))


def test_raters_agree_and_items_count_once(tmp_path: Path) -> None:
    rows = [each for rater in "AB" for each in all_rows(KEY, rater)]
    found = collect(KEY, votes_of(tmp_path / "votes.json", KEY, rows))
    standing = weigh(found)
    assert (standing.wins, standing.losses, standing.undecided) == (40, 0, 0)
    assert "Enough, you may stop: people prefer new" in standing.sentence()
    assert agreement(found) == (None, 40)  # all say the same: nobody could disagree


def standing_of(path: Path, wins: int, losses: int, ties: int) -> str:
    key = made_key(60)
    votes = [shown for shown in key.raters["rater"] if shown.kind == "vote"]
    sides = ["a"] * wins + ["b"] * losses
    rows = [row(key, shown, toward(shown, side)) for shown, side in zip(votes, sides, strict=False)]
    rows += [row(key, shown, "tie") for shown in votes[len(sides) : len(sides) + ties]]
    return weigh(collect(key, votes_of(path, key, rows))).sentence()


def test_sentences(tmp_path: Path) -> None:
    path = tmp_path / "votes.json"
    assert standing_of(path, 0, 0, 3) == "No item is decided yet."
    assert "about 75 more items" in standing_of(path, 10, 5, 0)
    assert "about 150 more items" in standing_of(path, 10, 5, 15)  # half of them ties
    assert "60 decisions show 70 % or more" in standing_of(path, 5, 5, 0)
    assert "people prefer old (E >= 20)" in standing_of(path, 5, 25, 0)


# Raters


def rater_of(path: Path, key: Key, choose: Callable[[Shown], str], ms: int = 9000) -> Rater:
    rows = [row(key, shown, choose(shown), ms=ms) for shown in key.raters["rater"]]
    [found] = assess(collect(key, votes_of(path, key, rows)))
    return found


GOLD = [item(900 + at, right="a") for at in range(6)]
CHECKED = draw(map(item, range(60)), LabelPlan(repeats=0.1, identical=0.1), GOLD, secret="s")


def steady(shown: Shown) -> str:
    return "tie" if shown.kind == "identical" else toward(shown, "a")


def test_a_reliable_rater_has_no_flag(tmp_path: Path) -> None:
    found = rater_of(tmp_path / "votes.json", CHECKED, steady)
    assert found.flags == []
    assert [str(each) for each in (found.repeats, found.identical, found.gold)] == ["6/6"] * 3
    assert found.seconds == 9
    assert abs(2 * found.first_side.hits - found.first_side.n) <= 1


def test_who_always_says_first_is_flagged(tmp_path: Path) -> None:
    found = rater_of(tmp_path / "votes.json", CHECKED, lambda _: "left")
    assert {"repeats", "identical"} <= set(found.flags)
    assert found.first_side.hits == found.first_side.n


def test_who_misses_gold_or_hurries_is_flagged(tmp_path: Path) -> None:
    def wrong(shown: Shown) -> str:
        return toward(shown, "b") if shown.kind == "gold" else steady(shown)

    assert rater_of(tmp_path / "votes.json", CHECKED, wrong).flags == ["gold"]
    assert rater_of(tmp_path / "votes.json", CHECKED, steady, ms=400).flags == ["too_fast"]


def test_few_checks_flag_nobody(tmp_path: Path) -> None:
    """One repeat that differs is no proof."""
    key = made_key(20)

    def choose(shown: Shown) -> str:
        return toward(shown, "b" if shown.kind == "repeat" else "a")

    found = rater_of(tmp_path / "votes.json", key, choose)
    assert (str(found.repeats), str(found.identical), found.flags) == ("0/1", "0/1", [])


def test_skips_count_for_nothing(tmp_path: Path) -> None:
    found = rater_of(tmp_path / "votes.json", CHECKED, lambda _: "skip")
    assert found.answered == found.screens
    assert (found.repeats.n, found.identical.n, found.gold.n) == (0, 0, 0)
    assert found.flags == []
