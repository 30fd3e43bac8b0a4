"""Train by transformers' Trainer, with log-probs from hidden states and a preference loss."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import StateDictType

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator
from clairkit.errors import UsageError
from clairkit.logprobs.head import LogpsPath, attach_logps
from clairkit.logprobs.packing_check import Packing, packing_of
from clairkit.losses import PairLogps, PreferenceLoss
from clairkit.records import Pair
from clairkit.training.arguments.checks import setting_errors
from clairkit.training.best_metric import (
    best_metric_line,
    check_best_metric,
    check_measured,
    early_stopping,
)
from clairkit.training.checkpoint.checkpoints import resume_point, step_of
from clairkit.training.checkpoint.identity import adapter_digest, weights_digest
from clairkit.training.checkpoint.nan_guard import FiniteGradients, refuse_weights_not_finite
from clairkit.training.checkpoint.resuming import ExactResume
from clairkit.training.checkpoint.saving import SafeSaving
from clairkit.training.config import TrainConfig
from clairkit.training.data import (
    Batch,
    StepSize,
    TrainingCollator,
    TrainingPairs,
    TrainingPart,
    without_repeats,
)
from clairkit.training.loss_choice import settled_loss
from clairkit.training.merge_adapter import merged_model
from clairkit.training.metrics import TokenView, step_metrics
from clairkit.training.models import is_quantised, load_model
from clairkit.training.movement import Movements, rounding_warning
from clairkit.training.pair_losses import PairLosses, allowed_gap, check_step_zero, loss_not_finite
from clairkit.training.preflight import check_evaluation, step_tokens
from clairkit.training.preparation import (
    HeldOut,
    as_training_pairs,
    check_vocabulary,
    has_dropout,
    held_out_sets,
    pad_id,
    prepare_model,
    training_arguments,
)
from clairkit.training.reference.compute import References, cache_folder, compute_references
from clairkit.training.reference.models import ReferenceSettings
from clairkit.training.run_directory.files import MetricsFile
from clairkit.training.run_directory.folder import RunFolder
from clairkit.training.run_directory.lock import hold_run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback
    from transformers.trainer_utils import TrainOutput

# Pairs among which the collator chooses when a part is bounded by its tokens.
_PAIRS_TO_FILL_PARTS = 64


class PreferenceTrainer(SafeSaving, ExactResume, Movements, PairLosses):
    """Trains a causal language model on preference pairs.

    Args:
        model: a transformers causal language model, perhaps under PEFT.
        tokenizer: its tokenizer, with a chat template.
        config: what the run is.
        pairs: the training pairs, as records or already encoded.
        eval_pairs: held-out pairs for the loss; a mapping where there are several sets of them,
            whose names stand before their metrics (`eval_NAME_loss`).
        callbacks: of transformers.
        say: gets a line for people where the run departs from what was asked.
        folder: what writes the run directory; by default one for this configuration.

    Raises:
        UsageError: no chat template, a freeze pattern without a match, rows that are no pairs.
        DataError: no pair is left, nothing is trainable, the tokenizer is not the model's.
        ResourceError: the kernel that was asked for can't run.
        EvidenceError: the verdicts on the pairs leave loss auto open.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        config: TrainConfig,
        pairs: Iterable[Pair] | Iterable[EncodedPair],
        eval_pairs: HeldOut | None = None,
        callbacks: list[TrainerCallback] | None = None,
        say: Callable[[str], None] = lambda text: None,
        folder: RunFolder | None = None,
    ) -> None:
        config, pairs, choice = settled_loss(config, pairs)
        self.config = config
        arguments = training_arguments(config)
        check_evaluation(arguments, has_pairs=eval_pairs is not None)
        train_data = as_training_pairs(pairs, tokenizer, config)
        held_out = held_out_sets(eval_pairs, tokenizer, config)
        check_best_metric(arguments, config, list(held_out) or None)
        metric = arguments.metric_for_best_model
        check_measured(metric, {name: data.pairs for name, data in held_out.items()})
        for data in (train_data, *held_out.values()):
            check_vocabulary(model, data)
        prepare_model(model, config)
        self.path: LogpsPath = attach_logps(
            model, config.kernel, config.memory_budget, arguments.device
        )
        self.packing: Packing = packing_of(model, config.padding_free)
        tokens = step_tokens(config, arguments.device.type)
        self.pair_collator = PairCollator(
            pad_id(tokenizer), self.packing.form, config.share_prompt, tokens
        )
        collator = TrainingCollator(self.pair_collator, config.loss_mask, config.shared_weight)
        self.say = say
        self.references: References | None = None
        self.first_reference_file: Path | None = None  # of the run that is resumed
        self.weights_sha256 = weights_digest(model)
        self.adapter_sha256 = adapter_digest(model)
        self._is_alone = folder is None  # else the run that made the folder holds its lock
        self.folder = folder or RunFolder.from_python(
            config, train_data.sources, train_data.prompts, choice
        )
        self._step = StepSize(1, 1, 1)
        self._guarded = False
        self._finite = FiniteGradients()
        with setting_errors():
            super().__init__(
                model=model,
                args=arguments,
                train_dataset=train_data,
                eval_dataset=held_out.get("", held_out or None),
                data_collator=collator,
                processing_class=tokenizer,
                callbacks=[
                    self._finite,
                    *early_stopping(config),
                    MetricsFile(Path(config.output)),
                    *(callbacks or []),
                ],
            )
        if rounding := rounding_warning(model, self.args.learning_rate, self.args.optim.value):
            say(rounding)
        if metric is not None:
            say(best_metric_line(self.args))
        if config.merge_adapter and self.is_fsdp_enabled:
            raise UsageError(
                "merge_adapter can't be set when the model is cut by FSDP",
                remedy="merge afterwards: PeftModel.from_pretrained(…).merge_and_unload()",
            )
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            everything = (pair for data in self._datasets() for pair in data.pairs)
            largest = max(map(self.pair_collator.size, everything))
            self.data_collator = replace(collator, largest=largest)
        # `compute_loss` divides by the pairs of a step; the Trainer need not divide again.
        self.model_accepts_loss_kwargs = True

    def _datasets(self) -> list[TrainingPairs]:
        """The training pairs, then all held-out ones."""
        held_out = self.eval_dataset
        several = held_out.values() if isinstance(held_out, Mapping) else (held_out,)
        return [data for data in (self.train_dataset, *several) if data is not None]

    def compute_references(self) -> None:
        """Fill in the reference log-probs of all pairs."""
        datasets = [data for data in self._datasets() if data.reference is None]
        if not datasets:
            return
        if self.state.global_step:
            raise UsageError(
                "the reference is the model before training, and it has been trained",
                remedy="pass eval_pairs when the trainer is made",
            )
        pairs = [pair for data in datasets for pair in data.pairs]
        with self.accelerator.autocast():
            found = compute_references(
                self.model.to(self.args.device),
                self.config.reference,
                pairs,
                self.pair_collator,
                self._reference_settings(),
            )
        logps = iter(found.logps)
        for data in datasets:
            data.reference = list(itertools.islice(logps, len(data)))
        self.references = found

    def _reference_settings(self) -> ReferenceSettings:
        def prepare(model: nn.Module) -> PairCollator:
            attach_logps(model, self.config.kernel, self.config.memory_budget, self.args.device)
            form = packing_of(model, self.config.padding_free).form
            return replace(self.pair_collator, form=form)

        size = self.args.per_device_eval_batch_size
        if self.pair_collator.tokens is not None:
            size = max(size, _PAIRS_TO_FILL_PARTS)
        return ReferenceSettings(
            batch_size=size,
            prepare=prepare,
            load=lambda name: load_model(replace(self.config, model=name, load_in_4bit=False)),
            folder=cache_folder(),
            first=self.first_reference_file,
            name=self.config.model,
            weights_sha256=self.weights_sha256,
            say=self.say,
        )

    def train(
        self,
        resume_from_checkpoint: str | Path | bool | None = None,
        *args: object,
        **kwargs: object,
    ) -> TrainOutput:
        """Compute the references, train as the Trainer does, measure what it did to the model.

        Raises:
            UsageError: another process trains in the same run directory.
        """
        with hold_run(self.folder.path) if self._is_alone else nullcontext():
            return self._train(resume_from_checkpoint, *args, **kwargs)

    def _train(self, checkpoint: str | Path | bool | None, *args: object, **kwargs: object) -> Any:
        self.compute_references()
        if checkpoint is True:
            checkpoint, skipped = resume_point(self.folder.path)
            for line in skipped:
                self.say(f"Warning: skipped {line}")
        if self.is_world_process_zero():
            if checkpoint:
                self.folder.resume(self, step_of(Path(checkpoint)))
            else:
                self.folder.begin(self)
        self.accelerator.wait_for_everyone()
        output = super().train(str(checkpoint) if checkpoint else None, *args, **kwargs)
        self.measure_movement()
        return output

    def starts_as_reference(self) -> bool:
        """Whether the reference is the model as it was given."""
        return self.references is not None and self.references.is_policy

    def evaluate(self, *args: object, **kwargs: object) -> Any:
        self.compute_references()
        return super().evaluate(*args, **kwargs)

    def get_batch_samples(self, *args: object, **kwargs: object) -> tuple[list[Batch], float]:
        """Return the batches of one step and how many pairs they hold, a process's share of them.

        The loss of a step is a mean over its pairs, however they are cut into batches and parts.
        """
        batches, _ = super().get_batch_samples(*args, **kwargs)
        if batches:
            batches[-1] = self._without_repeats(batches[-1])
        self._step = StepSize.of(batches, self.accelerator)
        return batches, self._step.pairs

    def _without_repeats(self, batch: Batch) -> Batch:
        """Leave out the pairs that fill up the last batches of an epoch, see `without_repeats`."""
        place = self.accelerator.gradient_state
        filled = self.accelerator.num_processes > 1 and not self.args.dataloader_drop_last
        if not (filled and place.end_of_dataloader):
            return batch
        size = len(batch["rows"])
        rest = len(place.active_dataloader.dataset) % (size * self.accelerator.num_processes)
        own = rest - self.accelerator.process_index * size
        if rest:
            return {"rows": batch["rows"], "parts": without_repeats(batch["parts"], own)}
        return batch

    def _prepare_inputs(self, inputs: TrainingPart) -> TrainingPart:
        """Move a part to the device, which the Trainer does for a dict of tensors."""
        return inputs.to(self.args.device)

    def training_step(self, model: nn.Module, inputs: Batch, *args: object) -> Tensor:
        """Run forward and backward part by part; return the batch's share of the step's loss."""
        *others, last = inputs["parts"]
        loss: Tensor = torch.zeros((), device=self.args.device)
        for part in others:
            with self.accelerator.no_sync(model):
                loss = loss + super().training_step(model, part, *args)
        loss = loss + super().training_step(model, last, *args)
        self._guarded = True
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: TrainingPart,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | float | None = None,
    ) -> Any:
        """Return the sum of a part's losses over the number of pairs in its step.

        Under `return_outputs` the losses [b] themselves come with it.
        """
        tokens = self.token_logps(model, inputs)
        pairs, result = self.pair_losses(tokens, inputs)
        if not math.isfinite(result.loss.item()):
            raise loss_not_finite(result, inputs.ids)
        if model.training:
            self._finite.ids += inputs.ids
            at_start = not self._guarded and self.state.global_step == 0
            if at_start and self.references is not None and self.references.is_policy:
                self._check_step_0(model, pairs, result, inputs)
        view = TokenView(tokens.detach(), inputs.ref_logps, inputs.edited, inputs.lengths)
        counts = float(inputs.counts)
        means = self._means["train" if model.training else "eval"]
        means.add(step_metrics(pairs, result, view).times(counts))
        count = len(result.losses)
        loss = result.loss * counts * (count / (num_items_in_batch or count))
        return (loss, {"losses": result.losses}) if return_outputs else loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as the Trainer does; weights that are not finite are never written."""
        refuse_weights_not_finite(self.model)
        self._save_whole(output_dir, _internal_call)
        own = output_dir is None or Path(output_dir) == Path(self.args.output_dir)
        if own and not (self._making or self.references is None) and self.is_world_process_zero():
            self.folder.finish(self)

    def _save_whole(self, output_dir: str | None, _internal_call: bool) -> None:
        plugin = self.accelerator.state.fsdp_plugin if self.is_fsdp_enabled else None
        if plugin is None or self._making:
            super().save_model(output_dir, _internal_call)
            return
        # transformers writes no model at all when checkpoints are to be in pieces
        kind, plugin.state_dict_type = plugin.state_dict_type, StateDictType.FULL_STATE_DICT
        try:
            super().save_model(output_dir, _internal_call)
        finally:
            plugin.state_dict_type = kind

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None
    ) -> None:
        """Write as the Trainer does; the final model of an adapter perhaps merged."""
        if self.config.merge_adapter and not self._making:
            folder = output_dir or self.args.output_dir
            merged_model(self.model).save_pretrained(folder)
            self.processing_class.save_pretrained(folder)
        else:
            super()._save(output_dir, state_dict)

    def prediction_step(
        self, model: nn.Module, inputs: Batch, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, None, None]:
        parts = [self._prepare_inputs(part) for part in inputs["parts"]]
        inputs = self._without_repeats({"rows": inputs["rows"], "parts": parts})
        self._step = StepSize.of([inputs], self.accelerator)
        own = StepSize.of([inputs]).pairs
        with torch.no_grad(), self.compute_loss_context_manager():
            losses = [
                self.compute_loss(model, part, num_items_in_batch=own) for part in inputs["parts"]
            ]
        return torch.stack(losses).sum().detach(), None, None

    def floating_point_ops(self, inputs: Batch) -> float:
        """Return what the Trainer's estimate says for all parts."""
        estimate = super().floating_point_ops
        return float(sum(estimate(part.model) for part in inputs["parts"]))

    def _check_step_0(
        self, model: nn.Module, pairs: PairLogps, result: PreferenceLoss, inputs: TrainingPart
    ) -> None:
        """Compare the first batch with the reference, both without dropout."""
        if has_dropout(self.model):
            model.eval()
            try:
                with torch.no_grad():
                    tokens = self.token_logps(model, inputs)
                    pairs, result = self.pair_losses(tokens, inputs)
            finally:
                model.train()
        half = self.args.bf16 or self.args.fp16 or is_quantised(self.model)
        expected = self._loss(replace(pairs, chosen=pairs.ref_chosen, rejected=pairs.ref_rejected))
        nats = allowed_gap(self.model, half=half)
        check_step_zero(pairs, result.loss.item(), expected.loss.item(), nats)
