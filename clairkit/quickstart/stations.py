"""Run the quickstart's steps, each through the library's own public functions.

The objective grid of `docs/benchmarks/quickstart_grid.py` runs the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.errors import DataError
from clairkit.quickstart import MODEL, task
from clairkit.records.json_types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from clairkit.evaluation import Difference, Evaluation
    from clairkit.generation import BuildResult, Sampling
    from clairkit.scoring import ScoredPairs
    from clairkit.training import TrainResult

Say = Callable[[str], None]

PROMPTS, BILLS, SUMS = "prompts.jsonl", "bills.jsonl", "sums.jsonl"
PAIRS, SCORED, TRAINED = "pairs.jsonl", "scored.jsonl", "trained"
REVISER = "python:clairkit.quickstart:revise"

# Rows asked at once: the model is tiny, so that large batches cost little.
BATCH_ROWS = 64


@dataclass(frozen=True)
class QuickstartPlan:
    """Every number of a quickstart."""

    seed: int = 0
    """Of the training prompts, the sampling, and the order of the pairs."""
    prompts: int = 400
    """Bills whose answers are revised."""
    held_out: int = 400
    """Bills, and as many sums, to measure on."""
    loss: str = "apo_zero"
    beta: float = 1.0
    learning_rate: float = 1e-4
    batch_size: int = 8
    """Pairs a step."""
    epochs: int = 3
    model: str = field(default=str(MODEL))
    """Folder of the model before."""

    def sampling(self) -> Sampling:
        """Return how the model is deployed: plain sampling, nothing cut off."""
        from clairkit.generation import Sampling

        return Sampling(temperature=1.0, max_new_tokens=64, seed=self.seed)


@dataclass(frozen=True)
class Skills:
    """What a model can do on the held-out prompts, and which house rules its bills break."""

    bills: Evaluation
    sums: Evaluation

    def changes(self, before: Skills) -> tuple[Difference, Difference]:
        """Return what changed against `before`, prompt by prompt: on bills, on sums."""
        from clairkit.evaluation import compare

        return compare(before.bills, self.bills), compare(before.sums, self.sums)

    def parts(self) -> dict[str, float]:
        """Return the share of bills with right sums, and of those that break each house rule."""
        rows = self.bills.rows
        broken = Counter(rule for row in rows for rule in task.breaches(row.answer))
        right = sum(task.check_arithmetic(row.prompt.prompt, row.answer, {}) for row in rows)
        return {
            "sums_right": right / len(rows),
            "unit_missing": broken["unit"] / len(rows),
            "closing_missing": broken["closing"] / len(rows),
        }


def write_prompts(plan: QuickstartPlan, folder: Path, *, force: bool = False) -> None:
    """Write the prompts of both sides.

    Raises:
        DataError: they share one.
    """
    from clairkit.records import Message, PromptRow, write_rows

    sides = {
        PROMPTS: task.bill_prompts(plan.prompts, plan.seed, evaluation=False),
        BILLS: task.bill_prompts(plan.held_out, plan.seed, evaluation=True),
        SUMS: task.sum_prompts(plan.held_out, plan.seed, evaluation=True),
    }
    shared = {*sides[PROMPTS]} & {*sides[BILLS], *sides[SUMS]}
    if shared:
        raise DataError("training and evaluation share prompts", received=sorted(shared)[:3])
    for name, prompts in sides.items():
        rows = (PromptRow((Message(role="user", content=text),)).to_json() for text in prompts)
        write_rows(folder / name, rows, force=force)


def measure(plan: QuickstartPlan, folder: Path, model: str) -> Skills:
    """Ask a model the held-out prompts, sampled as deployed; seeds come from plan and row."""
    from clairkit.evaluation import evaluate
    from clairkit.models.local import LocalModel
    from clairkit.records import read_prompts

    local = LocalModel.load(model, device="cpu", batch_size=BATCH_ROWS)
    bills, sums = (
        evaluate(local, read_prompts(str(folder / name)), check, plan.sampling())
        for name, check in ((BILLS, task.check), (SUMS, task.check_sum))
    )
    return Skills(bills, sums)


def make_pairs(plan: QuickstartPlan, folder: Path, *, force: bool = False) -> BuildResult:
    """Let the model answer the training prompts and the reviser correct its answers."""
    from clairkit.generation import BuildSettings, ModelOptions, build_pairs

    settings = BuildSettings(
        answer_sampling=plan.sampling(), models=ModelOptions(batch_size=BATCH_ROWS)
    )
    return build_pairs(
        folder / PROMPTS,
        target=f"hf:{plan.model}",
        reviser=REVISER,
        output=folder / PAIRS,
        settings=settings,
        force=force,
    )


def score(plan: QuickstartPlan, folder: Path, *, force: bool = False) -> ScoredPairs:
    """Score the pairs on the model's own tokens and write them with their scores."""
    from clairkit.records import read_pairs, write_pairs
    from clairkit.scoring import load_tokenizer, score_pairs

    pairs = read_pairs(str(folder / PAIRS))
    scored = score_pairs(pairs, load_tokenizer(plan.model), drop=("identical",))
    write_pairs(folder / SCORED, scored.pairs, force=force)
    return scored


def train(
    plan: QuickstartPlan,
    folder: Path,
    output: Path,
    *,
    force: bool = False,
    say: Say = lambda _: None,
) -> TrainResult:
    """Train on the scored pairs by the plan's loss.

    Args:
        plan: with the model and the loss.
        folder: where the scored pairs are.
        output: the run directory.
        force: replace what is there.
        say: told remarks for the user.
    """
    from clairkit.training import resolve, run_training

    flags: JsonMapping = {
        "model": plan.model,
        "pairs": str(folder / SCORED),
        "output": str(output),
        **training(plan),
    }
    return run_training(resolve(flags), force=force, say=say)


def training(plan: QuickstartPlan) -> JsonObject:
    """Return the plan as keys of a training configuration."""
    return {
        "loss": plan.loss,
        "beta": plan.beta,
        "learning_rate": plan.learning_rate,
        "per_device_train_batch_size": plan.batch_size,
        "num_train_epochs": plan.epochs,
        "seed": plan.seed,
        "logging_steps": 0.1,  # ten times a run
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
    }


def evaluation_facts(found: Evaluation) -> JsonObject:
    """Return an evaluation's counts as JSON has them."""
    return {
        "right": found.successes,
        "n": found.n,
        "share": found.share,
        "interval": asdict(found.interval),
    }
