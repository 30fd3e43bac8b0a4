"""Model-based columns against log-probs taken from logits by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_llama, make_tokenizer

from clairkit.batching import ChatEncoder, EncodedPair, encode_pairs
from clairkit.errors import DataError, UsageError
from clairkit.evaluation.pairs.pair_logps import columns_of, model_columns
from clairkit.records import Pair
from clairkit.training.config import TrainConfig

TEXTS = [("The quick fox", "The slow fox"), ("東京です。", "京都です。"), ("a", "a b c")]


def make_pairs(texts: list[tuple[str, str]]) -> list[Pair]:
    def message(role: str, content: str) -> Any:
        return ({"role": role, "content": content},)

    return [
        Pair(message("user", f"p{at}"), message("assistant", ours), message("assistant", theirs))
        for at, (ours, theirs) in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    for name, seed in (("target", 0), ("reference", 1)):
        make_llama(seed=seed).save_pretrained(root / name)
        make_tokenizer().save_pretrained(root / name)
    return {"target": str(root / "target"), "reference": str(root / "reference")}


def config_of(model: str, **settings: Any) -> TrainConfig:
    return TrainConfig(model=model, pairs="p", output="o", **settings)


@torch.no_grad()
def by_hand(model: Any, prompt: list[int], response: list[int]) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, :-1].double()
    logps = logits.log_softmax(-1)[len(prompt) - 1 :]
    return logps.gather(1, torch.tensor(response)[:, None])[:, 0]


def test_columns_are_those_of_the_models_logits(folders: dict[str, str]) -> None:
    pairs = make_pairs(TEXTS)
    said: list[str] = []
    found = model_columns(pairs, config_of(folders["target"]), folders["reference"], said.append)
    encoded = encode_pairs(pairs, ChatEncoder(make_tokenizer())).pairs
    models = make_llama(seed=0), make_llama(seed=1)
    for place, pair in enumerate(encoded):
        row = found.columns[place]
        for side, ids in (("chosen", pair.chosen_ids), ("rejected", pair.rejected_ids)):
            ours, its = (by_hand(model, pair.prompt_ids, ids) for model in models)
            assert row[f"logp_{side}"] == pytest.approx(float(ours.sum()), abs=1e-4)
            assert row[f"logp_per_token_{side}"] == pytest.approx(float(ours.mean()), abs=1e-4)
            assert row[f"reference_logp_{side}"] == pytest.approx(float(its.sum()), abs=1e-4)
            assert row[f"gain_{side}"] == pytest.approx(float((ours - its).sum()), abs=1e-4)
            assert row[f"tokens_{side}"] == len(ids)
        assert row["logp_margin"] == pytest.approx(row["logp_chosen"] - row["logp_rejected"])
        assert row["gain_margin"] == pytest.approx(row["gain_chosen"] - row["gain_rejected"])
    assert found.left_out == {}
    assert [line.split(":")[0] for line in said] == [folders["target"], folders["reference"]]
    assert all("the model itself (weights " in line for line in said)


def test_gains_fall_apart_into_edits_and_the_rest() -> None:
    pair = EncodedPair("one", [9], [1, 2, 3, 4], [1, 5, 3])
    target = torch.tensor([-1.0, -2.0, -4.0, -8.0]), torch.tensor([-1.0, -3.0, -5.0])
    reference = torch.tensor([-2.0, -4.0, -4.5, -9.0]), torch.tensor([-2.0, -2.0, -5.0])
    row = columns_of(pair, target, reference)
    assert (row["edited_chosen"], row["edited_rejected"]) == (2, 1)  # 2 and 4; 5
    assert (row["logp_edits_chosen"], row["logp_edits_rejected"]) == (-10, -3)
    assert (row["gain_edits_chosen"], row["gain_shared_chosen"]) == (3, 1.5)
    assert (row["gain_edits_rejected"], row["gain_shared_rejected"]) == (-1, 1)
    assert (row["gain_chosen"], row["gain_rejected"], row["gain_margin"]) == (4.5, 0, 4.5)
    assert (row["logp_margin"], row["logp_per_token_rejected"]) == (-6, -3)
    alone = columns_of(pair, target)
    assert alone == {name: row[name] for name in alone}
    assert not any("gain" in name or "reference" in name for name in alone)


def test_turns_that_training_gives_no_weight_count_nowhere(folders: dict[str, str]) -> None:
    def turn(role: str, content: str) -> Any:
        return {"role": role, "content": content}

    turns = turn("assistant", "look"), turn("tool", "12 C"), turn("assistant", "12.")
    pair = Pair((turn("user", "p"),), turns, (turn("assistant", "warm"),))
    whole, own = (
        model_columns([pair], config_of(folders["target"], assistant_only_loss=only)).columns[0]
        for only in (False, True)
    )
    encoded = encode_pairs([pair], ChatEncoder(make_tokenizer()), assistant_only=True).pairs[0]
    ((start, end),) = encoded.foreign[0]
    logps = by_hand(make_llama(seed=0), encoded.prompt_ids, encoded.chosen_ids)
    assert (whole["tokens_chosen"], own["tokens_chosen"]) == (len(logps), len(logps) - end + start)
    expected = float(logps[:start].sum() + logps[end:].sum())
    assert own["logp_chosen"] == pytest.approx(expected, abs=1e-4)
    assert own["logp_rejected"] == whole["logp_rejected"]


def test_a_model_gains_nothing_over_itself(folders: dict[str, str]) -> None:
    found = model_columns(make_pairs(TEXTS), config_of(folders["target"]), folders["target"])
    assert {row["gain_chosen"] for row in found.columns.values()} == {0}


def test_pairs_that_training_drops_have_no_columns(folders: dict[str, str]) -> None:
    pairs = make_pairs([("same", "same"), *TEXTS, ("x" * 99, "y")])
    found = model_columns(pairs, config_of(folders["target"], max_length=60))
    assert sorted(found.columns) == [1, 2, 3]
    assert found.left_out == {"too_long": 1, "identical": 1}
    none = model_columns(pairs[:1], config_of(folders["target"]))
    assert (none.columns, none.left_out) == ({}, {"identical": 1})


def test_a_second_run_finds_the_log_probs(
    folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIRKIT_CACHE", str(tmp_path))
    said: list[str] = []
    first, second = (
        model_columns(make_pairs(TEXTS), config_of(folders["target"]), say=said.append)
        for _ in range(2)
    )
    assert first == second
    assert "6 sequences computed" in said[0]
    assert "all 6 sequences from cache" in said[1]


def test_an_adapter_is_a_model(folders: dict[str, str], tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft", reason="the [peft] extra is not installed")
    torch.manual_seed(0)
    settings = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False, r=2)
    base = make_llama(seed=0)
    base.name_or_path = folders["target"]
    base.config._name_or_path = folders["target"]
    adapted = peft.get_peft_model(base, settings)
    adapted.save_pretrained(tmp_path / "adapter")
    pairs = make_pairs(TEXTS)
    found = model_columns(pairs, config_of(str(tmp_path / "adapter")), folders["target"])
    pair = encode_pairs(pairs, ChatEncoder(make_tokenizer())).pairs[0]
    ours = by_hand(adapted.eval(), pair.prompt_ids, pair.chosen_ids)
    assert found.columns[0]["logp_chosen"] == pytest.approx(float(ours.sum()), abs=1e-4)
    assert abs(found.columns[0]["gain_chosen"]) > 1e-3


def test_what_does_not_fit_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    pairs = make_pairs(TEXTS)
    other = tmp_path / "other"
    make_llama().save_pretrained(other)
    make_tokenizer().save_pretrained(other)
    file = other / "tokenizer.json"
    tokens = json.loads(file.read_text(encoding="utf-8"))
    ids = tokens["model"]["vocab"]
    ids["a"], ids["z"] = ids["z"], ids["a"]
    file.write_text(json.dumps(tokens), encoding="utf-8")
    with pytest.raises(UsageError, match=r"reads other tokens: .* 'a' to the target and 'z'"):
        model_columns(pairs, config_of(folders["target"]), str(other))
    small = tmp_path / "small"
    make_llama(vocabulary=64).save_pretrained(small)
    make_tokenizer().save_pretrained(small)
    with pytest.raises(DataError, match="64 embeddings"):
        model_columns(pairs, config_of(str(small)))
    with pytest.raises(UsageError, match="the target is named twice"):
        model_columns(pairs, config_of(folders["target"], adapter="a"))
