"""References of each kind are the right model's, and leave the policy as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import peft
import pytest
import torch
from references import (
    BASE,
    assert_same,
    check,
    lora,
    make_pairs,
    prepare,
    said,
    state,
)
from tiny import make_llama

from clairkit.errors import UsageError
from clairkit.training.reference.compute import compute_references
from clairkit.training.reference.models import ReferenceSettings, shared_base
from clairkit.training.reference.spec import Ref


def test_the_same_base_with_and_without_an_adapter(settings: ReferenceSettings) -> None:
    plain = make_llama()
    pairs = make_pairs()
    expected = compute_references(plain, BASE, pairs, prepare(plain), settings)
    for seed, head in ((None, ()), (7, ()), (7, ("lm_head",))):
        policy = lora(make_llama(), seed, modules_to_save=list(head) or None)
        collate = prepare(policy)
        policy.train()
        before = state(policy)
        found = compute_references(policy, BASE, pairs, collate, settings)
        assert not collate.pairs  # the plain model's cache serves
        assert found.is_policy is (seed is None)
        assert found.source == expected.source
        fresh = dataclasses.replace(settings, folder=None)
        computed = compute_references(policy, BASE, pairs, collate, fresh)
        assert collate.sequences == 21
        assert computed.file is None
        check(computed, make_llama(), pairs)
        assert_same(before, state(policy))
        assert "the base model without adapters" in computed.description


@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], ["v_proj", "lm_head"]])
@pytest.mark.parametrize("policy_kind", ["plain", "lora", "continued"])
def test_an_adapter_as_the_reference(
    targets: list[str], policy_kind: str, settings: ReferenceSettings, tmp_path: Path
) -> None:
    lora(make_llama(), 5, target_modules=targets).save_pretrained(tmp_path / "adapter")
    expected = peft.PeftModel.from_pretrained(make_llama(), tmp_path / "adapter").eval()
    policy = {
        "plain": make_llama,
        "lora": lambda: lora(make_llama(), 9, modules_to_save=["lm_head"]),
        "continued": lambda: peft.PeftModel.from_pretrained(
            make_llama(), tmp_path / "adapter", is_trainable=True
        ),
    }[policy_kind]()
    collate = prepare(policy)
    policy.train()
    before = state(policy)
    pairs = make_pairs()
    ref = Ref("adapter", str(tmp_path / "adapter"))
    found = compute_references(policy, ref, pairs, collate, settings)
    assert_same(before, state(policy))
    check(found, expected, pairs)
    assert found.is_policy is (policy_kind == "continued")
    assert f"the base model with adapter {tmp_path / 'adapter'}" in found.description
    again = compute_references(policy, ref, pairs, collate, settings)
    assert "all 21 sequences from cache" in again.description
    base = compute_references(policy, BASE, pairs, collate, settings)
    assert "21 sequences computed" in base.description  # never mistaken for the adapter's
    assert found.source.digest != base.source.digest
    assert not base.is_policy or policy_kind == "plain"


def test_an_adapter_that_is_none_or_does_not_fit(
    settings: ReferenceSettings, tmp_path: Path
) -> None:
    policy = make_llama()
    collate = prepare(policy)
    before = state(policy)
    with pytest.raises(UsageError, match="can't load the adapter"):
        compute_references(policy, Ref("adapter", str(tmp_path)), make_pairs(), collate, settings)
    lora(make_llama(), 5, r=8).save_pretrained(tmp_path / "adapter")
    text = (tmp_path / "adapter" / "adapter_config.json").read_text()
    (tmp_path / "adapter" / "adapter_config.json").write_text(text.replace('"r": 8', '"r": 4'))
    ref = Ref("adapter", str(tmp_path / "adapter"))
    with pytest.raises(UsageError, match="can't load the adapter"):
        compute_references(policy, ref, make_pairs(), collate, settings)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    peft.get_peft_model(make_llama(), config).save_pretrained(tmp_path / "prompt")
    with pytest.raises(UsageError, match="acts on tokens"):
        compute_references(
            policy, Ref("adapter", str(tmp_path / "prompt")), make_pairs(), collate, settings
        )
    lora(make_llama()).save_pretrained(tmp_path / "nothing")
    ref = Ref("adapter", str(tmp_path / "nothing"))
    found = compute_references(policy, ref, make_pairs(), collate, settings)
    assert found.is_policy
    assert "adds nothing" in said(settings)[0]
    assert_same(before, state(policy))


def test_another_model_as_the_reference(settings: ReferenceSettings) -> None:
    policy = make_llama()
    collate = prepare(policy)
    before = state(policy)
    pairs = make_pairs()
    found = compute_references(policy, Ref("model", "3"), pairs, collate, settings)
    assert_same(before, state(policy))
    check(found, make_llama(seed=3), pairs)
    assert not found.is_policy
    assert "the model 3 (weights " in found.description
    assert compute_references(policy, Ref("model", "0"), pairs, collate, settings).is_policy
    other = dataclasses.replace(settings, load=lambda _: make_llama(vocabulary=640))
    with pytest.raises(UsageError, match="has 640 embeddings, and the model to train 512"):
        compute_references(policy, Ref("model", "big"), pairs, collate, other)


def test_bases_that_are_out_of_reach(settings: ReferenceSettings) -> None:
    pairs = make_pairs()
    changed = lora(make_llama(), init_lora_weights="pissa")
    with pytest.raises(UsageError, match="changed the base weights"):
        compute_references(changed, BASE, pairs, prepare(changed), settings)
    inside = make_llama()
    peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["q_proj"]), inside)
    with pytest.raises(UsageError, match="can't be switched off"):
        compute_references(inside, BASE, pairs, prepare(inside), settings)


def test_a_shared_base_costs_no_weights_and_is_apart() -> None:
    policy = lora(make_llama(), 3, modules_to_save=["lm_head"], target_modules=["k_proj"])
    before = state(policy)
    shell = shared_base(policy)
    theirs = {p.data_ptr() for p in policy.parameters()}
    assert {p.data_ptr() for p in shell.parameters()} <= theirs
    assert shell.state_dict().keys() == make_llama().state_dict().keys()
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(shell(input_ids=ids).logits, make_llama()(input_ids=ids).logits)
    assert_same(before, state(policy))
