"""The contrastiveness figure against pairs whose construction says how contrastive they are."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.scoring import contrast_of, score_pair

_SENTENCE = (
    "the answer is that most people who travel by train in winter find a seat near window because "
    "fewer leave before noon while others prefer to wait until evening prices fall again so check "
    "every claim against its source and say plainly what remains unknown about delays or costs"
)
ENGLISH = _SENTENCE.split(" ")
JAPANESE = [
    "東京は",
    "日本の",
    "首都で",
    "多くの",
    "人々が",
    "電車に",
    "乗って",
    "仕事へ",
    "向かい",
    "夕方に",
    "なると",
    "静かな",
    "住宅街",
    "へ帰る",
    "生活を",
    "続けて",
    "いますが",
    "最近は",
    "自宅で",
    "働く人",
    "も増え",
    "ました",
    "料理や",
    "読書を",
    "楽しむ",
    "時間が",
    "できた",
]
LANGUAGES = {"en": (ENGLISH, " "), "ja": (JAPANESE, "")}


class Writer:
    """Sentences of a language, and what four kinds of pairs are made of."""

    def __init__(self, language: str, seed: int) -> None:
        self.words, self.gap = LANGUAGES[language]
        self.draw = random.Random(seed)

    def sentence(self) -> str:
        stop = "。" if self.gap == "" else ". "
        count = self.draw.randint(6, 14)
        return self.gap.join(self.draw.choice(self.words) for _ in range(count)) + stop

    def sentences(self, count: int) -> list[str]:
        return [self.sentence() for _ in range(count)]

    def clair(self) -> tuple[str, str]:
        """A revision: one sentence in ten is written anew."""
        answer = self.sentences(20)
        revision = list(answer)
        for place in self.draw.sample(range(20), 2):
            revision[place] = self.sentence()
        return "".join(answer), "".join(revision)

    def judge_on_policy(self) -> tuple[str, str]:
        """Two samples of one model: the same opening and habits, then each goes its way."""
        habits = self.sentences(8)
        first, second = habits + self.sentences(12), habits + self.sentences(10)
        return "".join(first), "".join(second)

    def judge_off_policy(self) -> tuple[str, str]:
        """Samples of two other models: they say the facts of the prompt in the same words."""
        facts = self.sentences(2)
        return "".join(self.sentences(9) + facts), "".join(self.sentences(7) + facts)

    def stronger_preferred(self) -> tuple[str, str]:
        """A weak model's answer and a strong one's, longer and of its own making."""
        return "".join(self.sentences(8)), "".join(self.sentences(20))


def figure(sides: tuple[str, str]) -> float:
    rejected, chosen = sides
    return score_pair("Why?", chosen, rejected).contrastiveness


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_four_sources_in_the_order_of_their_construction(language: str) -> None:
    def mean(make: Callable[[Writer], tuple[str, str]]) -> float:
        return statistics.fmean(figure(make(Writer(language, seed))) for seed in range(20))

    clair, on_policy = mean(Writer.clair), mean(Writer.judge_on_policy)
    off_policy, stronger = mean(Writer.judge_off_policy), mean(Writer.stronger_preferred)
    assert clair > on_policy + 0.2
    assert on_policy > off_policy + 0.1
    assert off_policy > stronger
    assert clair == pytest.approx(0.9, abs=0.05)  # nine sentences in ten are shared
    assert stronger < 0.1


def edited(length: int, edits: int, seed: int) -> tuple[str, str]:
    """Different characters, of which `edits`, far apart, are replaced by others."""
    units = [chr(0x4E00 + at) for at in range(length)]
    gap = length // edits if edits else 0
    offset = random.Random(seed).randrange(gap or 1)
    changed = list(units)
    for edit in range(edits):
        changed[edit * gap + offset] = chr(0xAC00 + edit)
    return "".join(units), "".join(changed)


@pytest.mark.parametrize("length", [100, 1000])
def test_known_edits_give_known_figures(length: int) -> None:
    for percent in (1, 5, 10, 20):
        assert figure(edited(length, length * percent // 100, seed=percent)) == pytest.approx(
            1 - percent / 100
        )


@given(st.permutations(range(60)), st.integers(1, 58))
def test_another_edit_never_raises_it(places: list[int], edits: int) -> None:
    units = [chr(0x4E00 + at) for at in range(60)]

    def after(count: int) -> float:
        changed = [
            chr(0xAC00 + at) if at in places[:count] else unit for at, unit in enumerate(units)
        ]
        return figure(("".join(units), "".join(changed)))

    assert after(edits + 1) <= after(edits)


@pytest.mark.parametrize("language", LANGUAGES)
def test_length_makes_no_difference(language: str) -> None:
    def share(sentences: int) -> float:
        def one(seed: int) -> float:
            writer = Writer(language, seed)
            answer = writer.sentences(sentences)
            changed = [writer.sentence() if at % 5 == 2 else text for at, text in enumerate(answer)]
            return figure(("".join(answer), "".join(changed)))

        return statistics.fmean(one(seed) for seed in range(12))

    assert share(10) == pytest.approx(share(80), abs=0.03)


def test_both_languages_are_measured_alike() -> None:
    means = [
        statistics.fmean(figure(Writer(language, seed).clair()) for seed in range(20))
        for language in LANGUAGES
    ]
    assert means[0] == pytest.approx(means[1], abs=0.02)


def test_what_gets_longer_loses_by_its_length() -> None:
    found = score_pair("Why?", "abcdefgh" * 2, "abcdefgh")
    assert found.length_balance == pytest.approx(2 / 3)
    assert found.overlap == 1
    assert found.contrastiveness == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("chosen", "rejected"), [("same", "same"), ("a b", "ab"), ("", "ab"), ("ab", ""), ("", "")]
)
def test_a_pair_without_a_contrast_has_none(chosen: str, rejected: str) -> None:
    assert score_pair("Why?", chosen, rejected).contrastiveness == 0


def test_its_parts_are_its_factors() -> None:
    found = contrast_of(shared=30, chosen=60, rejected=40, differs=True)
    assert (found.length_balance, found.overlap) == (0.8, 0.75)
    assert found.contrastiveness == pytest.approx(0.8 * 0.75)
    assert contrast_of(shared=30, chosen=60, rejected=40, differs=False).contrastiveness == 0
