"""The draw: a random sample, balanced sides, checks; and a page that knows nothing of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_cases import SECRET, item, made_key

from clairkit.errors import ClairError, DataError, UsageError
from clairkit.labels import Item, Key, LabelPlan, draw, make_page
from clairkit.labels.key import Shown


def lefts(shown: tuple[Shown, ...], *kinds: str) -> Counter[str]:
    return Counter(each.left for each in shown if not kinds or each.kind in kinds)


@given(
    count=st.integers(1, 90),
    drawn=st.integers(1, 90),
    gold=st.integers(0, 5),
    repeats=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    secret=st.text(min_size=1, max_size=8),
)
@settings(max_examples=30, deadline=None)
def test_each_rater_sees_every_item_once_and_sides_are_balanced(
    count: int, drawn: int, gold: int, repeats: float, secret: str
) -> None:
    n = min(count, drawn)
    plan = LabelPlan(n=n, raters=("A", "B"), repeats=repeats)
    golden = [item(1000 + at, right="a") for at in range(gold)]
    key = draw(map(item, range(count)), plan, golden, secret=secret)
    for shown in key.raters.values():
        kinds = Counter(each.kind for each in shown)
        assert sorted(each.item for each in shown if each.kind == "vote") == list(range(n))
        assert kinds["gold"] == gold
        enough = n >= 10
        assert kinds["repeat"] == (-(-n * repeats // 1) if enough else 0)
        assert kinds["identical"] == (-(-n // 20) if enough else 0)
        assert abs(lefts(shown, "vote")["a"] - lefts(shown, "vote")["b"]) <= 1
        assert abs(lefts(shown)["a"] - lefts(shown)["b"]) <= 1
        first = {each.item: each for each in reversed(shown) if each.kind == "vote"}
        for place, each in enumerate(shown):
            if each.kind == "repeat":
                assert each.left != first[each.item].left
                if repeats <= 0.2:
                    assert place > shown.index(first[each.item]) + 1
    assert len(key.screens) == sum(map(len, key.raters.values()))


def test_raters_get_orders_and_sides_of_their_own() -> None:
    key = made_key(40, raters=("A", "B"))
    orders = [[each.item for each in shown] for shown in key.raters.values()]
    sides = [
        {each.item: each.left for each in shown if each.kind == "vote"}
        for shown in key.raters.values()
    ]
    assert orders[0] != orders[1]
    assert sides[0] != sides[1]


def test_the_sample_is_drawn_by_the_seed_alone_and_evenly() -> None:
    one = draw(map(item, range(50)), LabelPlan(n=10), secret="one")
    again = draw(map(item, reversed(range(50))), LabelPlan(n=10), secret="other")
    assert [each.id for each in one.items[:10]] == [each.id for each in again.items[:10]]
    assert one.raters != again.raters
    counts: Counter[str] = Counter()
    for seed in range(400):
        key = draw(map(item, range(20)), LabelPlan(n=5, seed=seed), secret=SECRET)
        counts.update(each.id for each in key.items)
    assert len(counts) == 20
    assert all(60 < count < 140 for count in counts.values())  # 100 +- 4.6 standard deviations
    assert one.sample["population"] == 50
    assert (one.sample["drawn"], one.sample["seed"]) == (10, 0)


def test_the_same_gives_the_same_key() -> None:
    assert made_key(30).to_json() == made_key(30).to_json()


@pytest.mark.parametrize(
    ("a", "b", "prompt"),
    [
        ("I'm Claude and I think so.", "No.", "Who?"),
        ("No.", "As a model made by OpenAI I can't.", "Why?"),
        ("GPT-4o says 7.", "7", "What?"),
        ("私はGeminiです。", "いいえ。", "誰?"),
        ("Ask Llama 3.1 for it.", "No.", "How?"),
        ("I was trained as smol-9b-x.", "No.", "Why?"),
        ("通义千问可以。", "No.", "Why?"),
    ],
)
def test_answers_that_name_a_model_are_left_out(a: str, b: str, prompt: str) -> None:
    named = Item(
        "row9", item(1, prompt=prompt).prompt, a, b, ("hf:org/smol-9b-x", "hf:base/one-1b")
    )
    key = draw([named, *map(item, range(3))], LabelPlan(), secret=SECRET)
    assert key.sample["left_out"]["names_a_model"] == ["row9"]
    assert key.sample["population"] == 3


@pytest.mark.parametrize(
    ("a", "prompt"),
    [
        ("Claude Monet painted it.", "Who painted it?"),
        ("Gemini is a constellation; the llama is an animal; phi is a letter.", "What?"),
        ("The mistral blows from the north-west.", "Which wind?"),
        ("ChatGPT was released in 2022.", "When was ChatGPT released?"),
        ("A new model was chosen at the base of the mountain.", "What?"),
    ],
)
def test_what_only_sounds_like_a_model_stays(a: str, prompt: str) -> None:
    key = draw([item(1, a=a, prompt=prompt)], LabelPlan(), secret=SECRET)
    assert key.sample["population"] == 1


def test_what_cannot_be_compared_is_left_out_and_counted() -> None:
    items = [item(1), item(2, a="same", b=" same\n"), item(3, b="  ")]
    sample = draw(items, LabelPlan(), secret=SECRET).sample
    assert sample["left_out"] == {
        "no_answer": ["row0003"],
        "same_answers": ["row0002"],
        "names_a_model": [],
    }
    with pytest.raises(DataError, match=r"no item can be shown.*1 with an empty .*; 1 with two"):
        draw(items[1:], LabelPlan(), secret=SECRET)
    with pytest.raises(DataError, match="2 items cannot be drawn of 1"):
        draw(items, LabelPlan(n=2), secret=SECRET)


@pytest.mark.parametrize(
    "wrong", [{"raters": ("A", "A")}, {"raters": ("",)}, {"repeats": 0.6}, {"question": "best"}]
)
def test_wrong_plans(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        LabelPlan(**wrong)


# Blindness


def swapped(key: Key) -> Key:
    """The key in which every screen has its sides the other way round."""
    other = {
        rater: tuple(replace(each, left="b" if each.left == "a" else "a") for each in shown)
        for rater, shown in key.raters.items()
    }
    return replace(key, raters=other)


def parts(page: str) -> tuple[str, dict[str, Any]]:
    start = page.index('id="data">') + 10
    end = page.index("</script>", start)
    return page[:start] + page[end:], json.loads(page[start:end])


def test_keys_with_sides_swapped_give_pages_that_differ_in_what_is_shown() -> None:
    key = made_key(40, raters=("A", "B"))
    for rater in key.raters:
        (frame, one), (other_frame, other) = (
            parts(make_page(each, rater)) for each in (key, swapped(key))
        )
        assert frame == other_frame
        # digests of the whole key, which nobody can try out: the key holds a secret
        for data in (one, other):
            assert data.pop("key").startswith("sha256:")
            assert len(data.pop("page")) == 16
        shown = [screen.pop(side) for screen in one["items"] for side in ("left", "right")]
        turned = [screen.pop(side) for screen in other["items"] for side in ("right", "left")]
        assert shown == turned
        assert one == other


def test_a_page_holds_no_name_no_id_and_no_kind() -> None:
    named = [replace(item(at), names=("hf:the-candidate", "hf:the-baseline")) for at in range(40)]
    gold = [item(900, right="a")]
    key = draw(named, LabelPlan(), gold, secret=SECRET)
    _, data = parts(make_page(key, "rater"))
    for word in ("candidate", "baseline", "row00", "identical", "gold", "repeat", SECRET):
        assert word not in json.dumps(data)
    assert {frozenset(screen) for screen in data["items"]} == {
        frozenset(("id", "left", "right", "prompt"))
    }


def test_no_page_for_others() -> None:
    with pytest.raises(ClairError):
        make_page(made_key(3), "somebody")


def test_accepting_shows_the_answer_then_the_revision() -> None:
    key = made_key(20, question="accept")
    assert {each.left for each in key.raters["rater"]} == {"b"}
    assert Counter(each.kind for each in key.raters["rater"]) == {"vote": 20, "repeat": 1}
