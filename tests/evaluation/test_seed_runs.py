"""Runs of one configuration: which they are, and what their spread says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clairkit.errors import UsageError
from clairkit.evaluation.seed_runs import same_configuration, seeds_signal
from clairkit.statistics.estimates import Resampling
from clairkit.statistics.seeds import SeedVerdict, seed_spread

N = 80
PROMPTS = [f"p{at:03}" for at in range(N)]


def run(folder: Path, name: str, **values: object) -> str:
    config = {"model": "base", "pairs": "p.jsonl", "loss": "apo_zero", "output": name, **values}
    (folder / name).mkdir()
    text = "".join(f"{key}: {value}  # default\n" for key, value in config.items())
    (folder / name / "config.yaml").write_text(text)
    return f"hf:{folder / name}"


def test_runs_that_differ_in_their_seed_alone(tmp_path: Path) -> None:
    models = {
        "a0": run(tmp_path, "a0", seed=0),
        "b0": run(tmp_path, "b0", seed=0, loss="sft"),
        "a1": run(tmp_path, "a1", seed=1),
        "a1 again": run(tmp_path, "again", seed=1),
        "b1": run(tmp_path, "b1", seed=1, loss="sft"),
        "alone": run(tmp_path, "alone", seed=0, beta=0.5),
        "hub": "hf:org/model",
        "server": "openai:m",
    }
    assert same_configuration(models) == [("a0", "a1"), ("b0", "b1")]
    (tmp_path / "a0" / "config.yaml").write_text("loss: [")
    assert same_configuration(models) == [("b0", "b1")]


def changes(effect: float, between: float, seeds: int = 3) -> dict[str, dict[str, float]]:
    generator = np.random.default_rng(3)
    prompts = generator.normal(0, 0.3, N)
    offsets = between * (np.arange(seeds) - (seeds - 1) / 2)
    return {
        f"new-{seed}": dict(zip(PROMPTS, prompts + effect + offsets[seed], strict=True))
        for seed in range(seeds)
    }


def test_the_estimate_is_that_of_the_hierarchical_bootstrap() -> None:
    made = changes(0.2, 0.02)
    found = seeds_signal(made, "old", "judge", resampling=Resampling(seed=5))
    values = [[each[prompt] for prompt in PROMPTS] for each in made.values()]
    oracle = seed_spread(values, resampling=Resampling(seed=5))
    assert oracle.estimate.interval is not None
    assert found.estimate == pytest.approx(np.mean(values))
    assert (found.low, found.high) == (oracle.estimate.interval.low, oracle.estimate.interval.high)
    assert (found.model, found.against, found.name) == ("new-0, new-1, new-2", "old", "judge")
    details = found.details or {}
    assert details["deviation"] == pytest.approx(np.std([np.mean(row) for row in values], ddof=1))
    assert details["means"]["new-1"] == pytest.approx(np.mean(values[1]))
    assert found.notes[-1] == "better also beyond the spread between seeds"


def test_a_change_smaller_than_the_spread_between_seeds() -> None:
    found = seeds_signal(changes(0.05, 0.3), "old", "check")
    assert found.notes[-1] == SeedVerdict.WITHIN_SPREAD
    assert found.details is not None
    assert found.details["verdict"] == "smaller than the spread between seeds"


def test_prompts_that_a_run_lacks_are_left_out_and_clusters_are_kept() -> None:
    made = changes(0.2, 0.02)
    del made["new-1"]["p000"]
    found = seeds_signal(made, "old", "check", clusters={name: name[:3] for name in PROMPTS})
    assert (found.n, found.clusters) == (N - 1, 8)
    assert found.notes[-1] == "1 prompt without a value of each run left out"


def test_one_run_has_no_spread() -> None:
    with pytest.raises(UsageError, match="needs two runs or more"):
        seeds_signal(changes(0.2, 0.0, seeds=1), "old", "check")
