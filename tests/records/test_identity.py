"""Canonical JSON, digests, and the records made of them."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.records import Pair, PromptRow, canonical_json, digest, pair_id

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
ASK: Any = ({"role": "user", "content": "q"},)
YES: Any = ({"role": "assistant", "content": "yes"},)
NO: Any = ({"role": "assistant", "content": "no"},)


@given(VALUES)
def test_canonical_json_is_json_of_the_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers()))
def test_key_order_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


def test_canonical_json_is_fixed() -> None:
    assert (
        canonical_json({"b": [1, None], "a": "\u3042\ud800"})
        == '{"a":"\u3042\\ud800","b":[1,null]}'
    )
    # sha256 of `"a"`, with its quotes
    assert digest("a") == "ac8d8342bbb2362d13f0a559a3621bb407011368895164b628a54f7fc33fc43c"
    assert digest("\ud800") != digest("\\ud800")
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


def test_ids_follow_what_determines_a_record() -> None:
    pair = Pair(ASK, YES, NO)
    assert pair.id == pair_id(list(ASK), list(YES), list(NO), "imported")
    assert Pair(ASK, YES, NO, rationale="r", scores={"a": 1}, extra={"b": 2}).id == pair.id
    assert len({pair.id, Pair(ASK, NO, YES).id, Pair(ASK, YES, NO, source="clair").id}) == 3
    assert PromptRow(ASK).id == digest([list(ASK), None])[:16]
    assert PromptRow(ASK, id="mine").id == "mine"


def test_records_can_be_sent_to_other_processes() -> None:
    for record in (Pair(ASK, YES, NO), PromptRow(ASK, "yes", extra={"n": 1})):
        assert pickle.loads(pickle.dumps(record)) == record
        assert copy.deepcopy(record) == record


def test_empty_optional_parts_are_left_out_of_a_row() -> None:
    assert list(Pair(ASK, YES, NO).to_json()) == ["id", "prompt", "chosen", "rejected", "source"]
    assert list(PromptRow(ASK).to_json()) == ["id", "prompt"]
    assert PromptRow(ASK, "").to_json()["answer"] == ""
