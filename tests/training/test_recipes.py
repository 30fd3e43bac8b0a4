"""Every recipe resolves, and the long one runs at its full length."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import pytest
import yaml
from long_run import measured_run
from tiny import make_tokenizer

from clairkit.records import Pair, write_pairs
from clairkit.training import resolve

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "recipes"
FILES = sorted(path.name for path in RECIPES.glob("*.yaml"))
GIVEN = {"model": "m", "pairs": "p", "output": "o"}


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("accelerate")])
def test_a_recipe_resolves_and_all_its_values_take_effect(name: str) -> None:
    recipe = yaml.safe_load((RECIPES / name).read_text())
    resolved = resolve(GIVEN, (), str(RECIPES / name))
    values = resolved.config.to_dict()
    for key, value in recipe.items():
        assert values[key] == value, key
        assert type(values[key]) in (type(value), list), key
        assert resolved.origins[key] == str(RECIPES / name)
    assert f"--config {name}" in (RECIPES / name).read_text()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("accelerate")])
def test_an_accelerate_file_is_one(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import FullyShardedDataParallelPlugin

    config = load_config_from_file(str(RECIPES / name))
    assert config.num_processes > 1
    known = {f"fsdp_{key}" for key in FullyShardedDataParallelPlugin.__dataclass_fields__}
    known |= {"fsdp_offload_params", "fsdp_version"}  # the launcher's names of two of them
    assert set(getattr(config, "fsdp_config", {})) <= known


def test_the_recipe_book_names_every_recipe_and_no_other() -> None:
    named = set(re.findall(r"`([\w-]+\.yaml)`", (RECIPES / "README.md").read_text()))
    assert named == set(FILES)


LENGTH = 24_576


def _long_pairs(folder: Path) -> Path:
    """Two pairs whose longer side reaches the full length to a few tokens, and one beyond it."""
    words = itertools.cycle(["fox", "dog", "quick", "brown", "is", "here"])

    def text(count: int) -> str:
        return " ".join(itertools.islice(words, count))

    tokenizer = make_tokenizer()
    tokens = len(tokenizer(text(6000))["input_ids"]) / 6000
    full = int((LENGTH - 700) / tokens)

    def pair(prompt: str, chosen: int, rejected: int) -> Pair:
        return Pair(
            prompt=({"role": "user", "content": f"{prompt} {text(100)}"},),
            chosen=({"role": "assistant", "content": text(chosen)},),
            rejected=({"role": "assistant", "content": text(rejected)},),
        )

    pairs = [pair("a", full, full // 4), pair("b", full // 4, full), pair("c", 2 * full, 3)]
    write_pairs(folder / "pairs.jsonl", pairs)
    return folder / "pairs.jsonl"


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["smollm3-apo.yaml", "smollm3-apo-lora.yaml"])
def test_the_long_recipe_runs_at_full_length(recipe: str, tmp_path: Path) -> None:
    """On a tiny model in float32: the first loss is 1.0 whatever the precision of the products."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    vocabulary = 32_768
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=LENGTH,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    flags = {
        "model": str(tmp_path / "model"),
        "pairs": str(_long_pairs(tmp_path)),
        "output": str(tmp_path / "run"),
    }
    settings = [
        "max_steps=2",
        "gradient_accumulation_steps=1",
        "logging_steps=1",
        "use_cpu=true",
        "save_strategy=no",
        "warmup_steps=0",
        "learning_rate=0.001",
        "bf16=false",
        "dtype=float32",
    ]
    found = measured_run(str(RECIPES / recipe), flags, settings)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, lines) if "loss" in row]
    losses = [row["loss"] for row in steps]
    print(f"{recipe}: {found}, losses {losses}")  # noqa: T201 - what docs/recipes quotes
    assert found.form == "packed"
    assert found.counts["too_long"] == 1
    assert losses[0] == pytest.approx(1.0, abs=1e-4)
    assert math.isfinite(losses[1])
    # of two responses at once both rewards may be far out, where APO's loss is 1 again
    assert steps[0]["rewards/chosen"] == pytest.approx(0, abs=1e-3)
    assert abs(steps[1]["rewards/chosen"]) > 1e-2
    logits_mb = LENGTH * vocabulary * 4 / 1e6  # of one side alone, and without their gradient
    assert found.peak - found.before < logits_mb / 2
