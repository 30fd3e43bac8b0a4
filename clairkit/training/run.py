"""Train as configured, from a configuration to a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.batching import EncodedPairs
from clairkit.errors import ResourceError, UsageError
from clairkit.records.output import check_folder
from clairkit.runs.diagnosis import variant_alarm
from clairkit.training.best_metric import check_measured
from clairkit.training.checkpoint.checkpoints import resume_point, step_of
from clairkit.training.checkpoint.interrupt import StopAtStep, StopOnSignal
from clairkit.training.config import TrainConfig
from clairkit.training.config_sources import Resolved
from clairkit.training.loss_choice import with_loss
from clairkit.training.memory import peak_memory_mb
from clairkit.training.models import load_model, load_tokenizer
from clairkit.training.preflight import check_apart, check_early, settled
from clairkit.training.reading import read_run_pairs
from clairkit.training.run_directory import files
from clairkit.training.run_directory.folder import RunFolder, TrainResult, inputs_of
from clairkit.training.run_directory.lock import hold_run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainingArguments

    from clairkit.training.trainer import PreferenceTrainer

Say = Callable[[str], None]


def run_training(
    resolved: Resolved,
    *,
    resume: bool = False,
    force: bool = False,
    allowed: Sequence[str] = (),
    stop_at: float | None = None,
    say: Say = lambda text: None,
) -> TrainResult:
    """Train as configured and write the run directory.

    Args:
        resolved: the configuration with its origins.
        resume: go on from the newest whole checkpoint of the run directory.
        force: write into a run directory that holds something.
        allowed: keys that may differ from the configuration of the run that is resumed.
        stop_at: end after this step, or below 1 this share of all steps, with a checkpoint and no
            final model; the schedule stays that of the whole run, and `resume` goes on.
        say: gets a line at each stage.

    Raises:
        UsageError: the configuration, or a resume with another one.
        DataError: no pair can be used, or none tells loss auto what it needs.
        EvidenceError: the verdicts on the pairs leave loss auto open.
        ResourceError: no memory, no checkpoint to resume, a loss that is not finite.
    """
    files.check_allowed(allowed, resume=resume)
    if stop_at is not None and not (0 < stop_at < 1 or stop_at == stop_at // 1 >= 1):
        remedy = "give a step, or a share of all steps below 1"
        raise UsageError("there is no such step to stop at", received=stop_at, remedy=remedy)
    arguments = check_early(resolved.config)
    resolved = with_loss(resolved, resume=resume)
    if resolved.loss_choice is not None:
        say(f"Loss {resolved.loss_choice['reason']}")
    with hold_run(Path(resolved.config.output), resume=resume):
        return _run_alone(resolved, arguments, resume, force, allowed, stop_at, say)


def _run_alone(
    resolved: Resolved,
    arguments: TrainingArguments,
    resume: bool,
    force: bool,
    allowed: Sequence[str],
    stop_at: float | None,
    say: Say,
) -> TrainResult:
    """Train while no other process works in the run directory."""
    started = time.monotonic()
    run = Path(resolved.config.output)
    saved = files.saved_values(run) if resume else None
    if resume:
        resolved = files.with_defaults_of_then(resolved, run)
    resolved = settled(resolved, arguments.device.type, saved)
    config = resolved.config
    changes = files.check_same_run(config, run, allowed) if resume else []
    check_apart(config)
    if not resume:
        remedy = "go on with --resume, write into it with --force, or name another"
        check_folder(run, "run directory", force=force, remedy=remedy)
    tokenizer = load_tokenizer(config)
    train, evaluation = read_run_pairs(config, tokenizer, say)
    if evaluation is not None and arguments.eval_strategy == "no" and not arguments.eval_on_start:
        say("Warning: eval_pairs are not evaluated; set eval_strategy to epoch or steps.")
    if evaluation is not None:
        check_measured(arguments.metric_for_best_model, {"": evaluation.pairs})
    alarm = None if resolved.loss_choice else variant_alarm(config.loss, train.sources)
    if alarm:
        say(f"Warning: {alarm}.")
    _make_folder(run)
    stop = StopOnSignal(say)
    folder = RunFolder(resolved, train.sources, train.counts, train.prompts, started)
    with _memory_errors(config):
        trainer = _trainer(folder, tokenizer, train, evaluation, stop, say)
        pause = None if stop_at is None else StopAtStep(stop_at)
        if pause is not None:
            trainer.add_callback(pause)
        trainer.first_reference_file = files.reference_file(run) if resume else None
        trainer.compute_references()
    if trainer.references is not None:
        say(trainer.references.description)
    checkpoint = None
    if resume:
        checkpoint = _checkpoint(trainer, inputs_of(trainer), allowed, say)
        if changes and trainer.is_world_process_zero():
            files.note_changes(run, resolved, step_of(checkpoint), changes)
        for change in changes:
            say(f"Changed: {change}")
    elif trainer.is_world_process_zero():
        folder.clear(say)
    trainer.accelerator.wait_for_everyone()
    with _memory_errors(config), stop.listening():
        outcome = trainer.train(
            resume_from_checkpoint=None if checkpoint is None else str(checkpoint)
        )
    finished = stop.signal is None or outcome.global_step >= trainer.state.max_steps
    folder.signal = lambda: None if finished else stop.signal
    folder.is_paused = finished and pause is not None and pause.is_reached(trainer.state)
    if arguments.metric_for_best_model is not None and trainer.state.best_metric is None:
        say("Warning: no evaluation took place, so that there is no best model; set eval_steps.")
    if finished and not folder.is_paused:
        trainer.save_model()  # all processes take part
    return folder.result(trainer)


@contextmanager
def _memory_errors(config: TrainConfig) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise _no_memory(config) from error
    except RuntimeError as error:  # torch has a class of its own for devices, none for the CPU
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
            raise _no_memory(config) from error
        raise


def _make_folder(run: Path) -> None:
    """Make the run directory before weights are loaded."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"can't make the run directory {run}: {error.strerror}") from error


def _trainer(
    folder: RunFolder,
    tokenizer: PreTrainedTokenizerBase,
    train: EncodedPairs,
    evaluation: EncodedPairs | None,
    stop: StopOnSignal,
    say: Say,
) -> PreferenceTrainer:
    from transformers import PrinterCallback, ProgressCallback
    from transformers.utils import logging

    from clairkit.training.adapters import add_adapter
    from clairkit.training.trainer import PreferenceTrainer

    logging.disable_progress_bar()
    config = folder.resolved.config
    model = load_model(config)
    if config.trains_adapter:
        model = add_adapter(model, config, say)
    trainer = PreferenceTrainer(
        model,
        tokenizer,
        config,
        train.pairs,
        None if evaluation is None else evaluation.pairs,
        callbacks=[files.StepLines(say), stop],
        say=say,
        folder=folder,
    )
    for printer in (PrinterCallback, ProgressCallback):  # they write to stdout
        trainer.remove_callback(printer)
    say(f"Kernel: {trainer.path.kernel} ({trainer.path.reason})")
    say(f"Sequences: {trainer.packing.form} ({trainer.packing.reason})")
    return trainer


def _checkpoint(
    trainer: PreferenceTrainer, inputs: Mapping[str, object], allowed: Sequence[str], say: Say
) -> Path:
    from clairkit.training.checkpoint.identity import check_same_inputs

    run = Path(trainer.config.output)
    check_same_inputs(run, inputs, allowed)
    folder, skipped = resume_point(run)
    for line in skipped:
        say(f"Warning: skipped {line}")
    if trainer.is_world_process_zero():
        files.trim_metrics(run, step_of(folder))
    say(f"Resuming from {folder}")
    return folder


def _no_memory(config: TrainConfig) -> ResourceError:
    tokens = config.tokens_per_step or "without a limit"
    return ResourceError(
        f"out of memory while training, at a peak of {peak_memory_mb():.0f} MB",
        remedy=f"in this order: halve tokens_per_step (now {tokens}); set "
        f"gradient_checkpointing: true; lower max_length (now {config.max_length}). "
        "Checkpoints are kept",
    )
