"""The trainer: transformers' own, with log-probs from hidden states and a preference loss."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from clairkit.batching import ChatEncoder, EncodedPair, encode_pairs
from clairkit.batching.collate import PairCollator
from clairkit.errors import DataError, GateError, ResourceError, UsageError
from clairkit.kernels import fused_preference
from clairkit.kernels.preference import fits_one_launch
from clairkit.losses import PairLogps, PreferenceLoss, loss_options, preference_loss
from clairkit.records import Pair
from clairkit.training.config import ARGUMENT_DEFAULTS, TrainConfig
from clairkit.training.data import TrainingCollator, TrainingPairs
from clairkit.training.finite import FiniteGradients, not_finite, refuse_weights_not_finite
from clairkit.training.head import LogpsPath, attach_logps
from clairkit.training.metrics import MetricMeans, step_metrics
from clairkit.training.reference import reference_logps

# How far a summed log-prob may stray from the reference before any step, in nats a token.
_STEP0_NATS = {torch.float32: 1e-4, torch.float64: 1e-6}
_STEP0_NATS_HALF = 2e-2


class PreferenceTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """Trains a causal language model on preference pairs.

    Args:
        model: a transformers causal language model, perhaps under PEFT; it is the reference, too.
        tokenizer: its tokenizer, with a chat template.
        config: what the run is.
        pairs: the training pairs, as records or already encoded.
        eval_pairs: held-out pairs for the loss.
        callbacks: of transformers.

    Raises:
        UsageError: no chat template, a freeze pattern without a match, rows that are no pairs.
        DataError: no pair is left, nothing is trainable, the tokenizer is not the model's.
        ResourceError: the kernel that was asked for can't run.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        config: TrainConfig,
        pairs: Iterable[Pair] | Iterable[EncodedPair],
        eval_pairs: Iterable[Pair] | Iterable[EncodedPair] | None = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        self.config = config
        arguments = training_arguments(config)
        if eval_pairs is None and arguments.eval_strategy != "no":
            raise UsageError(
                "there is nothing to evaluate on",
                received=f"eval_strategy {arguments.eval_strategy.value}",
                remedy="pass --eval-pairs",
            )
        train_data = as_training_pairs(pairs, tokenizer, config)
        eval_data = None
        if eval_pairs is not None:
            eval_data = as_training_pairs(eval_pairs, tokenizer, config)
        for data in filter(None, (train_data, eval_data)):
            check_vocabulary(model, data)
        prepare_model(model, config)
        self.path: LogpsPath = attach_logps(
            model, config.kernel, config.memory_budget, arguments.device
        )
        self.pair_collator = PairCollator(pad_id(tokenizer))
        self._means = {"train": MetricMeans(), "eval": MetricMeans()}
        self._guarded = False
        self._finite = FiniteGradients()
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train_data,
            eval_dataset=eval_data,
            data_collator=TrainingCollator(self.pair_collator),
            processing_class=tokenizer,
            callbacks=[self._finite, *(callbacks or [])],
        )
        # The loss is a mean over pairs: the Trainer divides it by the accumulation steps.
        self.model_accepts_loss_kwargs = False

    def compute_references(self) -> None:
        """Fill in the reference log-probs of all pairs, under the model as it is now."""
        size = self.args.per_device_eval_batch_size
        model = self.model.to(self.args.device)
        for data in (self.train_dataset, self.eval_dataset):
            if data is not None and data.reference is None:
                if self.state.global_step:
                    raise UsageError(
                        "the reference is the model before training, and it has been trained",
                        remedy="pass eval_pairs when the trainer is made",
                    )
                with self.accelerator.autocast():
                    data.reference = reference_logps(model, data.pairs, self.pair_collator, size)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the references, then train as the Trainer does."""
        self.compute_references()
        return super().train(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the loss on the held-out pairs."""
        self.compute_references()
        return super().evaluate(*args, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the mean loss of a batch of pairs (and its parts under `return_outputs`)."""
        pairs, result = self.pair_losses(model, inputs)
        if not math.isfinite(result.loss.item()):
            raise _loss_not_finite(result, inputs["ids"])
        if model.training:
            self._finite.ids += inputs["ids"]
        if model.training and not self._guarded:
            self._guarded = True
            if self.state.global_step == 0:
                self._check_step_0(pairs, result)
        means = self._means["train" if model.training else "eval"]
        means.add(step_metrics(pairs, result), len(result.losses))
        if return_outputs:
            return result.loss, {"losses": result.losses}
        return result.loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as the Trainer does; weights that are not finite are never written."""
        refuse_weights_not_finite(self.model)
        super().save_model(output_dir, _internal_call)

    def pair_losses(
        self, model: nn.Module, inputs: dict[str, Any]
    ) -> tuple[PairLogps, PreferenceLoss]:
        """Return the summed log-probs of a batch and its losses."""
        names = ("input_ids", "attention_mask", "targets")
        logps = model(**{name: inputs[name] for name in names})
        lengths = {f"{side}_lengths": inputs[f"{side}_lengths"] for side in ("chosen", "rejected")}
        references = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        if self.path.kernel == "triton" and fits_one_launch(len(references[0])):
            return self._fused_losses(logps, references, lengths)
        chosen, rejected = logps.sum(1).chunk(2)
        pairs = PairLogps(chosen, rejected, *references, **lengths)
        return pairs, self._loss(chosen, rejected, pairs)

    def _fused_losses(
        self, logps: Tensor, references: tuple[Tensor, Tensor], lengths: dict[str, Tensor]
    ) -> tuple[PairLogps, PreferenceLoss]:
        """Sum, compare and differentiate in one launch; the host reads nothing in between."""
        rows, width = logps.shape
        options = loss_options(self.config.loss, self.config.beta, self.config.loss_options)
        found = fused_preference(
            logps.flatten(),
            torch.arange(rows + 1, device=logps.device) * width,
            torch.cat(references),
            loss=self.config.loss.replace("-", "_"),
            beta=options.beta,
            lengths=torch.cat([lengths["chosen_lengths"], lengths["rejected_lengths"]]),
            label_smoothing=options.label_smoothing,
            discopop_tau=options.discopop_tau,
        )
        result = PreferenceLoss(
            found.loss, found.losses, found.chosen_rewards, found.rejected_rewards
        )
        chosen, rejected = found.sums.chunk(2)
        return PairLogps(chosen, rejected, *references, **lengths), result

    def _loss(self, chosen: Tensor, rejected: Tensor, pairs: PairLogps) -> PreferenceLoss:
        return preference_loss(
            chosen,
            rejected,
            pairs.ref_chosen,
            pairs.ref_rejected,
            loss=self.config.loss,
            beta=self.config.beta,
            chosen_lengths=pairs.chosen_lengths,
            rejected_lengths=pairs.rejected_lengths,
            **self.config.loss_options,
        )

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, None, None]:
        """Return the loss of a held-out batch."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, inputs).detach(), None, None

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log with the metrics gathered since the last time."""
        # an evaluation logs its loss under a prefix of the caller's choice, "eval" by default
        found = [name.removesuffix("loss") for name in logs if name.endswith("_loss")]
        prefix = next((name for name in found if name != "train_"), "")
        means = self._means["eval" if prefix else "train"].take()
        super().log(logs | {prefix + name: value for name, value in means.items()}, *args, **kwargs)

    def _check_step_0(self, pairs: PairLogps, result: PreferenceLoss) -> None:
        """Before any step the policy is the reference: rewards are 0 and the loss is known."""
        dtype = next(p.dtype for p in self.model.parameters() if p.is_floating_point())
        half = self.args.bf16 or self.args.fp16
        nats = _STEP0_NATS_HALF if half else _STEP0_NATS.get(dtype, _STEP0_NATS_HALF)
        gaps = torch.stack([pairs.chosen_ratio.abs(), pairs.rejected_ratio.abs()])
        lengths = torch.stack([size for size in (pairs.chosen_lengths, pairs.rejected_lengths)
                               if size is not None])  # fmt: skip
        expected = self._loss(pairs.ref_chosen, pairs.ref_rejected, pairs).loss
        if bool((gaps > 1e-3 + nats * lengths).any()):
            raise GateError(
                f"at step 0 the loss is {result.loss.item():.6f} and should be "
                f"{expected.item():.6f}; a log-prob is {gaps.max().item():.4f} nats away from the "
                "reference's",
                remedy="check that the reference is the model you train, that dropout is off and "
                "that both run in the same precision; `--kernel eager` rules out the kernel",
            )


def as_training_pairs(
    pairs: Iterable[Pair] | Iterable[EncodedPair], tokenizer: Any, config: TrainConfig
) -> TrainingPairs:
    """Encode pairs as the configuration says; encoded ones are taken as they are."""
    items = list(pairs)
    encoded_already = [item for item in items if isinstance(item, EncodedPair)]
    if items and len(encoded_already) == len(items):
        return TrainingPairs(encoded_already)
    records = [item for item in items if isinstance(item, Pair)]
    if len(records) < len(items):
        other = next(item for item in items if not isinstance(item, Pair))
        raise UsageError(
            "pairs must be records, or all encoded",
            received=type(other).__name__,
            remedy="read them with clairkit.records.read_pairs",
        )
    encoder = ChatEncoder(tokenizer, config.chat_template_kwargs)
    encoded = encode_pairs(
        records,
        encoder,
        max_length=config.max_length,
        truncation=config.truncation,
    )
    return TrainingPairs(encoded.pairs)


def training_arguments(config: TrainConfig) -> TrainingArguments:
    """Return the Trainer's arguments.

    Raises:
        UsageError: transformers refuses a value; its reason is passed on.
    """
    # Pinned memory is for copies to a GPU; without one torch warns of it.
    pin = {"dataloader_pin_memory": torch.cuda.is_available()}
    values = {**pin, **ARGUMENT_DEFAULTS, **config.arguments}
    try:
        return TrainingArguments(
            output_dir=config.output, remove_unused_columns=False, label_names=[], **values
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"a training argument was refused: {error}") from error


def prepare_model(model: nn.Module, config: TrainConfig) -> None:
    """Switch dropout off and freeze what the configuration names."""
    if config.disable_dropout:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        _no_attention_dropout(model)
    names = dict(model.named_parameters())
    for pattern in config.freeze:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise UsageError(
                "a freeze pattern matches no parameter",
                received=pattern,
                remedy=f"the names look like {', '.join(list(names)[:3])}",
            )
        for name in matches:
            names[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in names.values()):
        raise DataError("nothing is trainable", remedy="freeze fewer parameters")


def _no_attention_dropout(model: nn.Module) -> None:
    """Attention reads its rate from an attribute, not from a Dropout module."""
    for module in model.modules():
        for name in ("attention_dropout", "attn_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def pad_id(tokenizer: Any) -> int:
    """Return the id to pad with; masked everywhere, so that any token will do."""
    value = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if value is None else value)


def check_vocabulary(model: Any, data: TrainingPairs) -> None:
    """Refuse token ids for which the model has no embedding."""
    size = len(model.get_input_embeddings().weight)
    for pair in data.pairs:
        largest = max(pair.prompt_ids + pair.chosen_ids + pair.rejected_ids)
        if largest >= size:
            raise DataError(
                f"the tokenizer makes token id {largest}, and the model has {size} embeddings",
                remedy="use the model's own tokenizer, or resize its embeddings",
            )


def _loss_not_finite(result: PreferenceLoss, ids: list[str]) -> ResourceError:
    bad = [pair for pair, loss in zip(ids, result.losses.tolist(), strict=True)
           if not math.isfinite(loss)]  # fmt: skip
    return not_finite(f"the loss is {result.loss.item()}", bad or ids)
