"""Add what models make of the pairs, as columns and as a table (`clairkit score --target`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.options import add_options
from clairkit.errors import UsageError

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.evaluation.pairs.pair_logps import PairColumns
    from clairkit.records import Pair
    from clairkit.records.json_types import JsonMapping, JsonObject
    from clairkit.training.config import TrainConfig


# Columns of the tables, in words; the others are in the pairs' scores.
_LOGPS = {
    "logp_chosen": "log-prob of chosen",
    "logp_rejected": "log-prob of rejected",
    "logp_margin": "chosen - rejected",
    "logp_per_token_chosen": "per token, chosen",
    "logp_per_token_rejected": "per token, rejected",
    "gain_chosen": "gain of chosen",
    "gain_edits_chosen": "  in edits",
    "gain_shared_chosen": "  outside of edits",
    "gain_rejected": "gain of rejected",
    "gain_edits_rejected": "  in edits",
    "gain_shared_rejected": "  outside of edits",
    "gain_margin": "gain, chosen - rejected",
}
_REWARDS = {
    "reward_chosen": "reward of chosen",
    "reward_rejected": "reward of rejected",
    "reward_margin": "chosen - rejected",
}
_REASONS = {
    "too_long": "longer than max_length {}",
    "identical": "with identical sides",
    "identical_but_thoughts": "with sides that differ in their thoughts alone",
    "identical_after_truncation": "with sides identical up to max_length {}",
    "only_thoughts": "with a side of nothing but thoughts",
    "refused": "that the chat template refuses",
}
_STATISTICS = ("mean", "median", "p10", "p90")

model_options = add_options(
    click.option(
        "--target",
        metavar="MODEL",
        help="A model or adapter: its log-probs of both sides become scores.",
    ),
    click.option(
        "--reference", metavar="MODEL", help="With --target: the gain over this model, too."
    ),
    click.option("--reward", metavar="MODEL", help="A reward model: its scores of both sides."),
    click.option(
        "--config",
        metavar="FILE",
        help="Of a training run: read the pairs as it does (--target, --loss-mask).",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="One key of it, for instance max_length=2048; repeatable.",
    ),
)
"""Adds the options of models that read the pairs, and of how they do."""


def run_config(
    model: str | None, pairs: str, file: str | None, settings: Sequence[str], **flags: object
) -> TrainConfig:
    """Return the configuration of a training run that would read these pairs.

    Args:
        model: folder or Hub id; None takes the file's.
        pairs: the source of the pairs.
        file: a YAML file of configuration keys.
        settings: `key=value` texts.
        flags: other keys.

    Raises:
        UsageError: no model, or a key or value that no run takes.
    """
    from clairkit.training.config_sources import resolve

    if model is None and file is None:
        raise UsageError("no tokenizer is named", remedy="pass --tokenizer, the model's id")
    name = None if model is None else model.removeprefix("hf:")
    given = {"model": name, "pairs": pairs, "output": "-", **flags}
    return resolve(given, settings, file).config


def models_asked(flags: JsonMapping, *, is_comparison: bool) -> bool:
    """Tell whether models shall read the pairs.

    Raises:
        UsageError: options that do not go together.
    """
    target, reward = flags["target"], flags["reward"]
    idle = [] if target else ["reference"]
    if not (target or reward):
        idle += ["config", "settings"]
    for name in idle:
        if flags[name]:
            option = "--set" if name == "settings" else f"--{name}"
            remedy = "add --target MODEL, or leave it out"
            raise UsageError(f"{option} is for models that read the pairs", remedy=remedy)
    if not (target or reward):
        return False
    if is_comparison:
        raise UsageError(
            "--compare runs no model",
            received=target or reward,
            remedy="score each set with -o first",
        )
    return True


def add_columns(
    console: Console, pairs: Sequence[Pair], source: str, flags: JsonMapping
) -> tuple[list[Pair], JsonObject]:
    """Let the models read the pairs and show a table for each kind.

    Args:
        console: shows the tables.
        pairs: are read.
        source: the file of the pairs, for messages.
        flags: of the command: which models to ask, and how they read.

    Returns:
        The pairs with columns added to their `scores`, and what `--json` shows of them.
    """
    from transformers.utils import logging

    from clairkit.evaluation.pairs.pair_logps import model_columns
    from clairkit.evaluation.pairs.pair_rewards import reward_columns

    logging.disable_progress_bar()
    kept, facts = list(pairs), {}
    target, reference, reward = (flags[name] for name in ("target", "reference", "reward"))
    if target is not None:
        config = run_config(target, source, flags["config"], flags["settings"])
        found = model_columns(pairs, config, reference, say=console.note)
        gain = f" and its gain over {reference}" if reference else ""
        title = f"Log-probs of the pairs under {target}{gain}, in nats."
        rows = _show(console, title, _LOGPS, found, config)
        kept = _filled(kept, found)
        facts["models"] = {"target": target, "reference": reference, **rows}
    if reward is not None:
        config = run_config(reward, source, flags["config"], flags["settings"])
        found = reward_columns(pairs, config, say=console.note)
        rows = _show(console, f"Rewards of {reward}.", _REWARDS, found, config)
        margins = [row["reward_margin"] for row in found.columns.values()]
        higher = sum(margin > 0 for margin in margins)
        console.show(f"Chosen has the higher reward in {higher} of {len(margins)} pairs.")
        kept = _filled(kept, found)
        facts["rewards"] = {"model": reward, "chosen_higher": higher, **rows}
    return kept, facts


def _filled(pairs: Sequence[Pair], found: PairColumns) -> list[Pair]:
    return [
        replace(pair, scores={**pair.scores, **found.columns.get(place, {})})
        for place, pair in enumerate(pairs)
    ]


def _show(
    console: Console, title: str, names: Mapping[str, str], found: PairColumns, config: TrainConfig
) -> JsonObject:
    """Show the table and who is not in it; return both for `--json`."""
    rows = _summaries(names, list(found.columns.values()))
    console.table(
        title,
        ["score", "n", *_STATISTICS],
        [
            [names[name], str(row["n"]), *(f"{row[each]:z.3f}" for each in _STATISTICS)]
            for name, row in rows.items()
        ],
    )
    for reason, count in found.left_out.items():
        words = _REASONS[reason].format(config.max_length)
        console.show(f"Not read by the model: {count} {words}")
    return {"metrics": rows, "left_out": found.left_out}


def _summaries(names: Mapping[str, str], columns: Sequence[JsonMapping]) -> dict[str, JsonObject]:
    """Return mean and percentiles of the named columns; none where no pair was read."""
    from clairkit.scoring.summary import percentile

    rows = {}
    for name in names:
        values = sorted(each[name] for each in columns if name in each)
        if values:
            rows[name] = {"n": len(values), "mean": sum(values) / len(values)} | {
                label: percentile(values, percent)
                for label, percent in (("median", 50), ("p10", 10), ("p90", 90))
            }
    return rows
