"""Make the table of docs/sweep.md, four sources of pairs by four losses: `four_sources.py -o DIR`.

The paper's question on the quickstart's task. The target is the model that ships. The stronger
model is the target after a CLAIR run on other prompts; the candidates of judge_off are it and its
own checkpoint at half of that run. A program that knows the house rules revises, another judges.
Then `clairkit sweep` trains by each source, loss and learning rate, with three seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

if TYPE_CHECKING:
    from clairkit.models.requests import JudgeRequest

HERE = Path(__file__).resolve().parent
TASK = "python:clairkit.quickstart:"
JUDGE = "python:four_sources:judge"
LOSSES = ["apo_zero", "apo_down", "sigmoid", "sft"]
RATES = [1e-4, 3e-4]


def judge(request: JudgeRequest) -> str:
    """Return which of two bills is better: right before wrong, then fewer breaches of the rules."""
    from clairkit.quickstart.task import breaches, check, check_arithmetic

    def worth(answer: str) -> tuple[bool, int, bool]:
        right = check(request.prompt, answer, request.row)
        sums = check_arithmetic(request.prompt, answer, request.row)
        return right, -len(list(breaches(answer))), sums

    first, second = worth(request.first), worth(request.second)
    return "tie" if first == second else ("first" if first > second else "second")


@click.command()
@click.option("-o", "--output", required=True, help="Folder for everything that is made.")
@click.option("--prompts", type=int, default=400, show_default=True, help="Bills a source.")
@click.option("--held-out", type=int, default=300, show_default=True, help="Bills, and sums.")
@click.option("--epochs", type=float, default=2.0, show_default=True)
@click.option("--seeds", type=int, default=3, show_default=True)
@click.option("--devices", default="cpu,cpu", show_default=True, help="As of clairkit sweep.")
@click.option("--strategy", default="grid", show_default=True, help="grid or halving.")
@click.option("--dry-run", is_flag=True, help="Make the sources; train nothing.")
def command(
    output: str,
    prompts: int,
    held_out: int,
    epochs: float,
    seeds: int,
    devices: str,
    strategy: str,
    dry_run: bool,
) -> None:
    """Build the four sources, sweep, and write the page; the same command goes on."""
    folder = Path(output)
    _write_prompts(folder, prompts, held_out)
    _make_sources(folder)
    values = _sweep(folder, epochs, seeds, strategy)
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    words = ["sweep", str(file), "-o", str(folder / "sweep"), "--devices", devices]
    is_begun = (folder / "sweep" / "sweep.yaml").exists()
    flag = "--dry-run" if dry_run else "--resume" if is_begun else ""
    code = _run(*words, *filter(None, [flag]))
    if not dry_run and (folder / "sweep" / "sweep.json").exists():
        page = str(folder / "sweep.html")
        _run("report", str(folder / "sweep"), "-o", page, "--force")
    sys.exit(code)


def _write_prompts(folder: Path, prompts: int, held_out: int) -> None:
    from clairkit.quickstart import stations
    from clairkit.quickstart.stations import QuickstartPlan

    if (folder / stations.SUMS).exists():
        return
    other = folder / "other"
    other.mkdir(parents=True, exist_ok=True)
    stations.write_prompts(QuickstartPlan(1, prompts, held_out), other, force=True)
    stations.write_prompts(QuickstartPlan(0, prompts, held_out), folder, force=True)


def _make_sources(folder: Path) -> None:
    """Build the stronger model, then the pairs by each method; what is there is kept."""
    from clairkit.quickstart import MODEL

    base, reviser = f"hf:{MODEL}", f"{TASK}revise"
    stronger = folder / "stronger"
    if not (stronger / "config.json").exists():
        taught = _pairs(folder / "other", "clair", "--target", base, "--reviser", reviser)
        train = ["train", "--model", str(MODEL), "--pairs", str(taught), "-o", str(stronger)]
        values = {**_recipe(2.0), "learning_rate": 1e-4, "save_steps": 0.5}
        train += [word for key, each in values.items() for word in ("--set", f"{key}={each}")]
        _must(*train, "--force")
    half = min(stronger.glob("checkpoint-*"), key=lambda each: int(each.name.split("-")[1]))
    _pairs(folder, "clair", "--target", base, "--reviser", reviser)
    on = ("--method", "judge-on-policy", "--samples", "4", "--target", base)
    _pairs(folder, "judge_on", *on, "--judge", JUDGE)
    off = ("--method", "judge-off-policy", "--candidates", f"hf:{stronger}")
    _pairs(folder, "judge_off", *off, "--candidates", f"hf:{half}", "--judge", JUDGE)
    better = ("--method", "stronger-preferred", "--target", base)
    _pairs(folder, "stronger", *better, "--reviser", f"hf:{stronger}")


def _pairs(folder: Path, name: str, *words: str) -> Path:
    target = folder / f"{name}.jsonl"
    if not target.exists():
        sampling = ("--max-new-tokens", "64", "--reviser-max-tokens", "64", "--batch-size", "64")
        _must("build-pairs", str(folder / "prompts.jsonl"), "-o", str(target), *words, *sampling)
    return target


def _recipe(epochs: float) -> dict[str, Any]:
    return {
        "beta": 1.0,
        "num_train_epochs": epochs,
        "per_device_train_batch_size": 8,
        "logging_steps": 0.1,
        "use_cpu": True,
        "disable_tqdm": True,
    }


def _sweep(folder: Path, epochs: float, seeds: int, strategy: str) -> dict[str, Any]:
    from clairkit.quickstart import MODEL

    metric = folder / "eval.yaml"
    metric.write_text(f'check: "{TASK}check"\nmax-new-tokens: 64\nbatch-size: 64\n')
    guard = {"prompts": str(folder / "sums.jsonl"), "check": f"{TASK}check_sum", "margin": 10}
    names = ("clair", "judge_on", "judge_off", "stronger")
    return {
        "base": {"model": str(MODEL), **_recipe(epochs), "save_strategy": "no"},
        "pairs": {name: str(folder / f"{name}.jsonl") for name in names},
        "factors": {"loss": LOSSES, "learning_rate": RATES},
        "seeds": list(range(seeds)),
        "equal": "pairs",
        "prompts": str(folder / "bills.jsonl"),
        "metric": str(metric),
        "guards": [guard],
        "strategy": strategy,
    }


def _run(*words: str) -> int:
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", "clairkit.cli", *words], env=environment, check=False
    ).returncode


def _must(*words: str) -> None:
    code = _run(*words)
    if code not in (0, 4):  # 4: some rows became no pair
        raise click.ClickException(f"clairkit {words[0]} ended with {code}")


if __name__ == "__main__":
    command()
