"""References: computed once, kept, found again, never taken for those of other weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from references import (
    BASE,
    Counted,
    assert_same,
    check,
    lora,
    make_pairs,
    prepare,
    said,
    state,
)
from tiny import make_llama

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator
from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.logprobs.head import attach_logps
from clairkit.logprobs.packing_check import packing_of
from clairkit.training.reference.cache import CachedReference, write_cache
from clairkit.training.reference.compute import cache_folder, compute_references, reference_logps
from clairkit.training.reference.models import ReferenceSettings
from clairkit.training.reference.spec import Ref, parse_ref


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start", Ref("start")),
        ("base", Ref("base")),
        ("adapter:runs/a", Ref("adapter", "runs/a")),
        ("model:org/name", Ref("model", "org/name")),
        ("cache:C:/x.safetensors", Ref("cache", "C:/x.safetensors")),
    ],
)
def test_forms(text: str, expected: Ref) -> None:
    assert parse_ref(text) == expected


@pytest.mark.parametrize(
    "text", ["", "Base", "start:x", "base:x", "model", "model:", "cache: ", "file:x"]
)
def test_other_forms_are_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UsageError, match="base, adapter:PATH, model:ID or cache:FILE"):
        parse_ref(text)


def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CLAIRKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/clairkit/reference"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache/clairkit/reference"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/clairkit/reference")
    monkeypatch.setenv("CLAIRKIT_CACHE", "/own")
    assert cache_folder() == Path("/own/reference")


@pytest.mark.parametrize("form", ["padded", "packed"])
def test_base_is_the_model_as_it_is(form: str, settings: ReferenceSettings) -> None:
    policy = make_llama()
    attach_logps(policy, "torch")
    if form == "packed":
        packing_of(policy, True)
    collate = Counted(PairCollator(0, form, tokens=90))  # type: ignore[arg-type]
    pairs = make_pairs()
    policy.train()
    before = state(policy)
    progress: list[tuple[int, int]] = []
    settings = dataclasses.replace(settings, progress=lambda *done: progress.append(done))
    found = compute_references(policy, BASE, pairs, collate, settings)
    assert_same(before, state(policy))
    assert found.is_policy
    check(found, make_llama(), pairs)
    # 24 sides, two of them empty, one a repetition
    assert collate.sequences == 21
    assert "the model before training (weights " in found.description
    assert "21 sequences computed, kept in " in found.description
    assert progress[-1] == (12, 12)
    assert not said(settings)


def test_other_settings_of_a_run_find_everything_again(settings: ReferenceSettings) -> None:
    """Truncation cuts ends; beta, loss and mask leave the tokens as they are."""
    policy = make_llama()
    pairs = make_pairs()
    first = compute_references(policy, BASE, pairs, prepare(policy), settings)
    shorter = [
        dataclasses.replace(
            pair, chosen_ids=pair.chosen_ids[:7], rejected_ids=pair.rejected_ids[:3]
        )
        for pair in reversed(pairs)
    ]
    again = make_llama()
    collate = prepare(again)
    found = compute_references(again, BASE, shorter, collate, settings)
    assert not collate.pairs
    assert f"sequences from cache {first.file}" in found.description
    assert found.file == first.file
    for pair, new, old in zip(shorter, found.logps, reversed(first.logps), strict=True):
        assert torch.equal(new[0], old[0][: len(pair.chosen_ids)])
        assert torch.equal(new[1], old[1][: len(pair.rejected_ids)])
    assert len(list(settings.folder.iterdir())) == 1  # type: ignore[union-attr]


def test_only_what_is_missing_is_computed(settings: ReferenceSettings) -> None:
    policy = make_llama()
    pairs = make_pairs()
    collate = prepare(policy)
    first = compute_references(policy, BASE, pairs[:8], collate, settings)
    changed = dataclasses.replace(pairs[0], prompt_ids=[*pairs[0].prompt_ids[:-1], 511])
    longer = dataclasses.replace(pairs[5], chosen_ids=[*pairs[5].chosen_ids, 3])
    pairs = [changed, *pairs[1:5], longer, *pairs[6:]]
    collate.pairs.clear()
    found = compute_references(policy, BASE, pairs, collate, settings)
    # both of the changed prompt, the longer one, and those of the four new pairs
    assert collate.sequences == 2 + 1 + 8
    assert found.description.endswith(
        f"10 of 21 sequences from cache {first.file}, 11 computed, kept in {found.file}"
    )
    check(found, make_llama(), pairs)
    collate.pairs.clear()
    third = compute_references(policy, BASE, pairs, collate, settings)
    assert not collate.pairs
    assert third.file == found.file  # the new file holds all
    for new, old in zip(third.logps, found.logps, strict=True):
        assert torch.equal(new[0], old[0])
        assert torch.equal(new[1], old[1])


def test_a_named_file_serves_alone(settings: ReferenceSettings, tmp_path: Path) -> None:
    policy = make_llama()
    collate = prepare(policy)
    pairs = make_pairs()
    first = compute_references(policy, BASE, pairs[:8], collate, settings)
    ref = Ref("cache", str(first.file))
    found = compute_references(lora(make_llama()), ref, pairs[:8], collate, settings)
    assert found.is_policy
    assert f"all 13 sequences from {first.file}" in found.description
    check(found, policy, pairs[:8])
    with pytest.raises(DataError, match=r"8 of 21 sequences are not in .* pair 0000000000000008"):
        compute_references(policy, ref, pairs, collate, settings)
    with pytest.raises(UsageError, match=r"base weights changed .* of tiny with sha256 .* then, "):
        compute_references(make_llama(seed=1), ref, pairs[:8], collate, settings)
    half = make_llama().bfloat16()
    with pytest.raises(UsageError, match=r"\(float32\) then, .*\(bfloat16\) now"):
        compute_references(half, ref, pairs[:8], collate, settings)
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(UsageError, match=r"float32 then, float32\+bfloat16 now"),
    ):
        compute_references(policy, ref, pairs[:8], collate, settings)
    with pytest.raises(DataError, match="No such file"):
        compute_references(policy, Ref("cache", str(tmp_path / "x")), pairs, collate, settings)


def test_weights_and_precision_are_never_mixed_up(settings: ReferenceSettings) -> None:
    pairs = make_pairs()
    policies = [make_llama(), make_llama(seed=1), make_llama().bfloat16()]
    for policy in policies:
        collate = prepare(policy)
        compute_references(policy, BASE, pairs, collate, settings)
        assert collate.sequences == 21
    policy = make_llama()
    collate = prepare(policy)
    with torch.autocast("cpu", torch.bfloat16):
        compute_references(policy, BASE, pairs, collate, settings)
    assert collate.sequences == 21
    with torch.no_grad():
        policy.lm_head.weight[5, 5] += 1e-3
    compute_references(policy, BASE, pairs, collate, settings)
    assert collate.sequences == 42


def test_a_damaged_or_renamed_file_of_the_folder_is_passed_by(settings: ReferenceSettings) -> None:
    policy = make_llama()
    collate = prepare(policy)
    pairs = make_pairs()
    file = compute_references(policy, BASE, pairs, collate, settings).file
    assert file is not None
    file.write_bytes(file.read_bytes()[:-5])
    found = compute_references(policy, BASE, pairs, collate, settings)
    assert "21 sequences computed" in found.description
    assert "Warning: " in said(settings)[0]
    assert file.name in said(settings)[0]
    # the name of this model's file on that of another
    other = make_llama(seed=1)
    theirs = compute_references(other, BASE, pairs, prepare(other), settings).file
    assert theirs is not None
    theirs.replace(file.with_name(found.source.stem + "0.safetensors"))
    check(compute_references(policy, BASE, pairs, collate, settings), policy, pairs)


def test_a_folder_that_can_not_be_written_is_a_warning(
    settings: ReferenceSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    settings = dataclasses.replace(settings, folder=tmp_path / "file" / "cache")
    policy = make_llama()
    pairs = make_pairs()
    found = compute_references(policy, BASE, pairs, prepare(policy), settings)
    check(found, policy, pairs)
    assert found.file is None
    assert "the reference is not kept for other runs" in said(settings)[0]


def test_a_resumed_run_reads_its_own_file_first(settings: ReferenceSettings) -> None:
    """Two files hold the same sequences with values that differ in their last digits."""
    pairs = make_pairs()
    policy = make_llama()
    collate = prepare(policy)
    own = compute_references(policy, BASE, pairs, collate, settings)
    elsewhere = dataclasses.replace(settings, folder=None)
    other = compute_references(policy, BASE, pairs, collate, elsewhere)
    assert settings.folder is not None
    write_cache(
        settings.folder,
        own.source,
        [
            CachedReference(pair.prompt_ids, ids, logps + 1e-6)
            for pair, sides in zip(pairs, other.logps, strict=True)
            for ids, logps in zip((pair.chosen_ids, pair.rejected_ids), sides, strict=True)
            if ids
        ],
    )
    resumed = dataclasses.replace(settings, first=own.file)
    found = compute_references(policy, BASE, pairs, collate, resumed)
    for new, old in zip(found.logps, own.logps, strict=True):
        assert torch.equal(new[0], old[0])
        assert torch.equal(new[1], old[1])
    assert found.file == own.file


def test_several_files_become_one(settings: ReferenceSettings) -> None:
    policy = make_llama()
    collate = prepare(policy)
    pairs = make_pairs()
    for half in (pairs[:6], pairs[6:]):
        compute_references(policy, BASE, half, collate, settings)
    collate.pairs.clear()
    found = compute_references(policy, BASE, pairs, collate, settings)
    assert not collate.pairs
    assert "all 21 sequences from 2 cache files, kept in " in found.description
    assert compute_references(policy, BASE, pairs, collate, settings).file == found.file


def test_a_log_prob_that_is_not_finite_names_its_pair() -> None:
    policy = make_llama()
    pairs = make_pairs()
    with torch.no_grad():
        policy.model.embed_tokens.weight[511] = float("nan")
    pairs[6] = dataclasses.replace(pairs[6], prompt_ids=[511])
    pairs[:6] = [dataclasses.replace(pair, prompt_ids=[1]) for pair in pairs[:6]]
    for place, pair in enumerate(pairs):
        if place != 6:
            sides = [
                [token % 511 for token in ids]
                for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)
            ]
            pairs[place] = EncodedPair(pair.id, *sides)
    attach_logps(policy, "torch")
    policy.train()
    modes = [module.training for module in policy.modules()]
    with pytest.raises(ResourceError, match="not finite; pairs 0000000000000006"):
        reference_logps(policy, pairs, PairCollator(0, tokens=1), 4)
    assert [module.training for module in policy.modules()] == modes
