"""Name the metrics that `metric_for_best_model` may be, which way is better, and refuse others."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

from clairkit.batching import EncodedPair
from clairkit.errors import UsageError, suggest
from clairkit.losses import LossMix, PairLogps, PreferenceLoss
from clairkit.training.config import TrainConfig
from clairkit.training.masks import edited_tokens
from clairkit.training.metrics import MetricSums, TokenView, step_metrics

# Of what an evaluation returns beside its metrics.
_SPEED = ("runtime", "samples_per_second", "steps_per_second")
_TRAIN_ALONE = ("grad_norm", "learning_rate", "epoch", "train_loss", "train_runtime")
# The less of these, the better; of the rest, accuracies and margins among them, the more.
_LESS = (
    "loss",
    "kl/",
    "saturation/",
    "runtime",
    "rewards/rejected",
    "logps/rejected",
    "logratio/rejected",
    "below_reference/chosen",
    "quadrants/chosen_down",
    "quadrants/chosen_up_rejected_up",
)
_PREFIX = "eval_"
_AT_ONCE = 64  # pairs that are looked through together


def known_metrics(mix: LossMix) -> tuple[str, ...]:
    """Return the names of all metrics that an evaluation can have, without `eval_`."""
    terms = [name for _, name in mix.terms] if len(mix.terms) > 1 else []
    return ("loss", *(f"loss/{name}" for name in terms), *_pair_metrics(), *_SPEED)


def greater_is_better(metric: str, mix: LossMix) -> bool | None:
    """Return whether more of a metric is better; None for a metric that is not known.

    Args:
        metric: as in `metric_for_best_model`, perhaps with `eval_` and the name of a data set.
        mix: the loss of the run.
    """
    plain = metric.removeprefix(_PREFIX)
    names = [name for name in known_metrics(mix) if plain == name or plain.endswith(f"_{name}")]
    return not max(names, key=len).startswith(_LESS) if names else None


def early_stopping(config: TrainConfig) -> list[EarlyStoppingCallback]:
    """Return the callback that ends a run whose metric gets no better, none unless it is asked."""
    patience = config.early_stopping_patience
    threshold = config.early_stopping_threshold
    return [] if patience is None else [EarlyStoppingCallback(patience, threshold)]


def best_metric_line(arguments: TrainingArguments) -> str:
    """Return a line that says by what the best model is chosen."""
    way = "more" if arguments.greater_is_better else "less"
    return (
        f"Best model: by {_PREFIX}{arguments.metric_for_best_model.removeprefix(_PREFIX)}, the "
        f"{way} the better (greater_is_better says otherwise)"
    )


def best_model(trainer: Trainer) -> dict[str, object] | None:
    """Return the best value of the metric for the best model and where it was; None without one."""
    metric, state = trainer.args.metric_for_best_model, trainer.state
    if metric is None or state.best_metric is None:
        return None
    return {
        "metric": _PREFIX + metric.removeprefix(_PREFIX),
        "value": state.best_metric,
        "step": state.best_global_step,
        "loaded": bool(trainer.args.load_best_model_at_end and state.best_model_checkpoint),
    }


def check_best_metric(
    arguments: TrainingArguments, config: TrainConfig, datasets: Sequence[str] | None
) -> None:
    """Refuse a metric that no evaluation of the run will have, before anything is loaded.

    Args:
        arguments: of the Trainer.
        config: of the run.
        datasets: names of the sets of held-out pairs, "" where there is one without a name; None:
            there are no held-out pairs.

    Raises:
        UsageError: there is nothing to evaluate on, no evaluation is asked for, or the name is not
            that of a metric.
    """
    metric, patience = arguments.metric_for_best_model, config.early_stopping_patience
    best = _value(arguments.save_strategy) == "best"
    if metric is None:
        if best:
            raise UsageError(
                "save_strategy best needs metric_for_best_model",
                remedy="set metric_for_best_model: rewards/margins, or another metric of the "
                "held-out pairs",
            )
        return
    if datasets is None or _value(arguments.eval_strategy) == "no":
        asked = "save_strategy best" if best else f"metric_for_best_model {metric}"
        if patience is not None:
            asked = f"early_stopping_patience {patience}"
        lacking = "pass --eval-pairs and " if datasets is None else ""
        raise UsageError(
            "a metric for the best model is measured on held-out pairs, and none are evaluated",
            received=asked,
            remedy=f"{lacking}set eval_strategy to steps or epoch",
        )
    _check_name(metric, config.mix, datasets)


def _check_name(metric: str, mix: LossMix, datasets: Sequence[str]) -> None:
    plain = metric.removeprefix(_PREFIX)
    known = [f"{name}_{key}" if name else key for name in datasets for key in known_metrics(mix)]
    if plain in known:
        return
    if plain in _TRAIN_ALONE:
        problem, hint = "this metric is of training steps, not of held-out pairs", ""
    else:
        problem = "metric_for_best_model is no metric of the held-out pairs"
        hint = suggest(plain, known)
    raise UsageError(
        problem,
        received=metric,
        remedy=f"{hint}Known are, with or without {_PREFIX} before them: {', '.join(known)}",
    )


def check_measured(metric: str | None, datasets: Mapping[str, Sequence[EncodedPair]]) -> None:
    """Refuse a metric that these held-out pairs don't have, such as a side that they lack.

    Raises:
        UsageError: nothing in the pairs counts for the metric.
    """
    plain = (metric or "").removeprefix(_PREFIX)
    for name, pairs in datasets.items():
        key = plain.removeprefix(f"{name}_") if name else plain
        if key in _pair_metrics() and (not name or key != plain) and not _counts(key, pairs):
            raise UsageError(
                "no held-out pair has what metric_for_best_model measures",
                received=metric,
                remedy="choose a metric of the sides that the pairs have, such as loss",
            )


def _counts(metric: str, pairs: Sequence[EncodedPair]) -> bool:
    """Whether anything in the pairs counts for a metric."""
    for start in range(0, len(pairs), _AT_ONCE):
        part = pairs[start : start + _AT_ONCE]
        edited = [edited_tokens(pair) for pair in part]
        lengths = [len(p.chosen_ids) for p in part] + [len(p.rejected_ids) for p in part]
        marks = torch.cat([side[0] for side in edited] + [side[1] for side in edited])
        found = _metrics_of(marks, lengths)
        if found.sums[1][found.names.index(metric)] > 0:
            return True
    return False


@functools.cache
def _pair_metrics() -> tuple[str, ...]:
    return _metrics_of(torch.tensor([True, True]), [1, 1]).names


def _metrics_of(edited: Tensor, lengths: Sequence[int]) -> MetricSums:
    """The metrics of pairs of these lengths; their log-probs are all 0."""
    sums, tokens = torch.zeros(len(lengths) // 2), torch.zeros(len(edited))
    pairs = PairLogps(sums, sums, sums, sums)
    result = PreferenceLoss(sums.sum(), sums, sums, sums)
    return step_metrics(pairs, result, TokenView(tokens, tokens, edited, lengths))


def _value(strategy: object) -> str:
    return str(getattr(strategy, "value", strategy))
