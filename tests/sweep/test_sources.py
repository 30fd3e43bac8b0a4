"""Sources cut to one size: the same pairs or tokens, the same prompts, by seed."""

from __future__ import annotations

import json
from pathlib import Path

from sweeps import make_spec

from clairkit.records import read_pairs
from clairkit.records.leakage import prompt_digest
from clairkit.sweep.sources import prepare_sources


def test_sources_are_cut_to_the_pairs_of_the_smallest_and_keep_their_prompts(
    inputs: Path, tmp_path: Path
) -> None:
    spec = make_spec(inputs, equal="pairs", seeds=[5])
    facts = prepare_sources(spec, tmp_path)
    assert [(each.pairs, each.of_pairs) for each in facts.values()] == [(12, 12), (12, 20)]
    kept = list(read_pairs(facts["two"].file))
    whole = {pair.id: pair for pair in read_pairs(spec.pairs["two"])}
    assert all(whole[pair.id].chosen == pair.chosen for pair in kept)
    held = json.loads((tmp_path / "pairs" / "manifest.json").read_text())
    assert held["how"].startswith("each source cut to the pairs of the smallest")
    assert "seed 5" in held["how"]
    again = prepare_sources(make_spec(inputs, equal="pairs", seeds=[5]), tmp_path / "again")
    assert again["two"].sha256 == facts["two"].sha256
    other = prepare_sources(make_spec(inputs, equal="pairs", seeds=[6]), tmp_path / "other")
    assert other["two"].sha256 != facts["two"].sha256


def test_what_two_sources_share_stays_in_both(inputs: Path, tmp_path: Path) -> None:
    """Cut by prompt: a source and a copy of it keep the same half."""
    pairs = {"two": str(inputs / "two.jsonl"), "one": str(inputs / "one.jsonl")}
    pairs["copy"] = pairs["two"]
    facts = prepare_sources(make_spec(inputs, pairs=pairs, equal="pairs"), tmp_path)
    first, second = (
        {prompt_digest(pair) for pair in read_pairs(facts[name].file)} for name in ("two", "copy")
    )
    assert first == second


def test_sources_are_cut_to_the_tokens_of_the_smallest(inputs: Path, tmp_path: Path) -> None:
    facts = prepare_sources(make_spec(inputs, equal="tokens"), tmp_path)
    small, large = facts["one"], facts["two"]
    assert small.tokens == small.of_tokens
    assert large.tokens <= small.tokens < large.tokens + large.of_tokens / 10
    assert 0 < small.contrastiveness < 1


def test_whole_sources_are_read_where_they_lie(inputs: Path, tmp_path: Path) -> None:
    facts = prepare_sources(make_spec(inputs), tmp_path)
    assert facts["two"].file == str(inputs / "two.jsonl")
    assert not (tmp_path / "pairs").exists()
