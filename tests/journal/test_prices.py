"""The price table: whose price counts, what is refused, how sums read."""

from __future__ import annotations

from pathlib import Path

import pytest

from clairkit.errors import DataError, UsageError
from clairkit.journal.prices import Price, Prices, dollars, list_prices
from clairkit.journal.results import Usage


def test_a_cost_is_tokens_times_price_per_million() -> None:
    prices = Prices.load(None, ["mine=2,10"])
    assert prices.cost("openai:mine", 500_000, 30_000) == pytest.approx(1.0 + 0.3)


def test_models_in_this_process_are_free_and_unknown_ones_have_no_price() -> None:
    prices = Prices.load()
    assert prices.cost("hf:org/model", 10**6, 10**6) == 0.0
    assert prices.cost("python:rules:revise", 0, 0) == 0.0
    assert prices.cost("openai:never-heard-of", 1, 1) is None


def test_a_gpu_that_is_paid_for_may_be_priced() -> None:
    prices = Prices.load(None, ["hf:org/model=0.1,0.2"])
    assert prices.cost("hf:org/model", 10**6, 10**6) == pytest.approx(0.3)


def test_a_dated_snapshot_costs_what_its_model_does_unless_it_is_listed() -> None:
    prices = Prices.load()
    assert prices.price("openai:gpt-4o-2024-08-06") == list_prices()["gpt-4o"]
    assert prices.price("openai:gpt-4o-2024-05-13") == Price(5.0, 15.0)
    assert prices.price("openai:gpt-4o-ours") is None
    own = Prices.load(None, ["gpt-4o=1,2"])
    assert own.price("openai:gpt-4o-2024-08-06") == Price(1.0, 2.0)
    assert own.price("openai:gpt-4o-2024-05-13") == Price(5.0, 15.0)


def test_the_list_price_is_found_by_the_whole_name() -> None:
    assert Prices.load().price("openai:gpt-4o-mini") == Price(0.15, 0.60)


def test_own_prices_win_over_the_list_and_texts_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("gpt-4o: {input: 1, output: 2}\nopenai:b: {input: 3, output: 4}\n")
    prices = Prices.load(str(file), ["gpt-4o=7,8"])
    assert prices.price("openai:gpt-4o") == Price(7.0, 8.0)
    assert prices.price("openai:b") == Price(3.0, 4.0)


def test_a_price_file_may_be_json(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"org/m": {"input": 0.5, "output": 1.5}}')
    assert Prices.load(str(file)).price("openai:org/m") == Price(0.5, 1.5)


def test_replies_out_of_a_batch_cost_half_unless_priced_themselves() -> None:
    prices = Prices.load(None, ["mine=2,10"])
    assert prices.cost("openai-batch:mine", 10**6, 10**6) == pytest.approx(6.0)
    own = Prices.load(None, ["mine=2,10", "openai-batch:mine=2,9"])
    assert own.cost("openai-batch:mine", 10**6, 10**6) == pytest.approx(11.0)
    assert prices.cost("openai-batch:never-heard-of", 1, 1) is None


def test_the_cost_of_all_models_is_unknown_when_that_of_one_is() -> None:
    prices = Prices.load(None, ["a=1,1"])
    usage = {"openai:a": Usage(1, 10**6, 10**6), "hf:b": Usage(1, 5, 5)}
    assert prices.cost_of(usage) == pytest.approx(2.0)
    assert prices.cost_of({**usage, "openai:c": Usage(1, 5, 5)}) is None
    assert prices.cost_of({}) == 0.0


@pytest.mark.parametrize(
    "text", ["gpt-4o", "gpt-4o=1", "gpt-4o=1,2,3", "=1,2", "m=a,b", "m=-1,2", "m=nan,1", "m=1,inf"]
)
def test_a_price_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="MODEL=IN,OUT") as raised:
        Prices.load(None, [text])
    assert raised.value.received == text


def test_a_name_may_hold_an_equals_sign() -> None:
    assert Prices.load(None, ["a=b=1,2"]).price("openai:a=b") == Price(1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "not a price file"),
        ("", "not a price file"),
        ("a: [1, 2", r"can't be read \(line 1: "),
        ("a: 1\n", "not a pair of numbers"),
        ("a: {input: 1}\n", "not a pair of numbers"),
        ("a: {input: x, output: 2}\n", "not a pair of numbers"),
        ("a: {input: true, output: 2}\n", "not a pair of numbers"),
        ("a: {input: -1, output: 2}\n", "not a pair of numbers"),
        ("a: {input: .nan, output: 2}\n", "not a pair of numbers"),
        ("a: {inputs: 1, output: 2}\n", "unknown field"),
        ("a: {input: 1, output: 2}\n#" + "x" * 2**20, "more than 1,048,576 bytes"),
        ("a: !!python/object/apply:os.getcwd []\n", "can't be read"),
    ],
    ids=lambda value: value[:30],
)
def test_a_price_file_that_is_none_is_named(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=problem) as raised:
        Prices.load(str(file))
    assert str(file) in str(raised.value)


def test_a_missing_price_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such price file"):
        Prices.load(str(tmp_path / "none.yaml"))


def test_a_cap_needs_every_price() -> None:
    prices = Prices.load()
    prices.require(["hf:a", "openai:gpt-4o", "python:b:c"])
    with pytest.raises(UsageError, match="--price mine=IN,OUT") as raised:
        prices.require(["openai:gpt-4o", "openai:mine"])
    assert raised.value.received == "openai:mine"


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (0, "$0.00"),
        (1234.567, "$1,234.57"),
        (1, "$1.00"),
        (0.5, "$0.50"),
        (0.999, "$1.00"),
        (0.0123, "$0.012"),
        (0.00004567, "$0.000046"),
        (1e-9, "<$0.000001"),
    ],
)
def test_sums_read_as_money(cost: float, text: str) -> None:
    assert dollars(cost) == text
