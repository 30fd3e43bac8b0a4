"""The training station: from a configuration to a run directory."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clairkit.batching import ChatEncoder, EncodedPairs, encode_pairs
from clairkit.errors import ResourceError, UsageError
from clairkit.records import read_pairs
from clairkit.records.leakage import prompt_digest
from clairkit.records.output import atomic_write, check_folder
from clairkit.training import files
from clairkit.training.checkpoints import ManifestCallback, newest_whole, step_of
from clairkit.training.config import Resolved, TrainConfig
from clairkit.training.interrupt import StopOnSignal

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """What a run did. `metrics` are those of the last logged step.

    `signal` is the number of the signal that ended it early, after a checkpoint; then there is no
    final model yet.
    """

    output: Path
    pairs: int
    counts: Mapping[str, int]
    steps: int
    metrics: Mapping[str, Any]
    kernel: str
    seconds: float
    peak_memory_mb: float
    signal: int | None = None


def run_training(
    resolved: Resolved, *, resume: bool = False, force: bool = False, say: Say = lambda text: None
) -> TrainResult:
    """Train as configured and write the run directory.

    Args:
        resolved: the configuration with its origins.
        resume: go on from the newest whole checkpoint of the run directory.
        force: write into a run directory that holds something.
        say: gets a line at each stage.

    Raises:
        UsageError: the configuration, or a resume with another one.
        DataError: no pair can be used.
        ResourceError: no memory, no checkpoint to resume, a loss that is not finite.
    """
    started = time.monotonic()
    config = resolved.config
    run = Path(config.output)
    _check_run(run, config, resume=resume, force=force)
    tokenizer = load_tokenizer(config)
    train, evaluation = _read(config, tokenizer, say)
    _make_folder(run)
    stop = StopOnSignal(say)
    with _memory_errors(config):
        trainer = _trainer(config, tokenizer, train, evaluation, stop, say)
    inputs = _inputs(train, trainer)
    checkpoint = _checkpoint(run, inputs, say) if resume else None
    if not resume:
        _start(resolved, inputs, say)
    with _memory_errors(config), stop.listening():
        outcome = trainer.train(resume_from_checkpoint=checkpoint)
    finished = stop.signal is None or outcome.global_step >= trainer.state.max_steps
    result = TrainResult(
        output=run,
        pairs=len(train.pairs),
        counts={key: count for key, count in train.counts.items() if count},
        steps=outcome.global_step,
        metrics=_last_metrics(trainer.state.log_history),
        kernel=trainer.path.kernel,
        seconds=round(time.monotonic() - started, 3),
        peak_memory_mb=peak_memory_mb(),
        signal=None if finished else stop.signal,
    )
    if finished:
        _finish(trainer, config, inputs, result)
    return result


def _inputs(train: EncodedPairs, trainer: Any) -> dict[str, str]:
    from clairkit.training.identity import data_digest, weights_digest

    return {
        "data_sha256": data_digest(train.pairs),
        "weights_sha256": weights_digest(trainer.model),
    }


def _start(resolved: Resolved, inputs: Mapping[str, str], say: Say) -> None:
    """Write what the run starts from; what is left of an earlier run must not be resumed."""
    run = Path(resolved.config.output)
    stale = list(run.glob("checkpoint-*"))
    for folder in stale:
        shutil.rmtree(folder)
    if stale:
        say(f"Removed {len(stale)} checkpoints of the run that was in {run}")
    (run / files.METRICS).unlink(missing_ok=True)
    _write(run / files.RUN, json.dumps(files.run_facts(resolved.config, inputs), indent=1) + "\n")
    _write(run / files.CONFIG, files.config_text(resolved))


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


def _finish(
    trainer: Any, config: TrainConfig, inputs: Mapping[str, str], result: TrainResult
) -> None:
    """Write the trained model and what says how it came about."""
    run = result.output
    facts = {**inputs, **asdict(result), "learning_rate": trainer.args.learning_rate}
    del facts["output"]  # a run directory may be moved
    trainer.save_model()
    _write(run / files.RUN, json.dumps(files.run_facts(config, facts), indent=1) + "\n")
    _write(run / files.CARD, files.model_card(config, facts))


def load_tokenizer(config: TrainConfig) -> Any:
    """Return the model's tokenizer, with the configured chat template if any."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            config.model, trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"can't load the tokenizer of {config.model!r}: {error}") from error
    if config.chat_template_path is not None:
        try:
            tokenizer.chat_template = Path(config.chat_template_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"can't read chat_template_path: {error}") from error
    return tokenizer


def load_model(config: TrainConfig) -> Any:
    """Return the model to train, in the configured dtype."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(
            config.model, dtype=config.dtype, trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UsageError(f"can't load the model {config.model!r}: {error}") from error


def peak_memory_mb() -> float:
    """Return this process's peak resident memory in MB (10^6 bytes)."""
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def _check_run(run: Path, config: TrainConfig, *, resume: bool, force: bool) -> None:
    if resume:
        files.check_same_run(config, run)
        return
    remedy = "go on with --resume, write into it with --force, or name another"
    check_folder(run, "run directory", force=force, remedy=remedy)


def _read(
    config: TrainConfig, tokenizer: Any, say: Say
) -> tuple[EncodedPairs, EncodedPairs | None]:
    """Read and encode the pairs, before any weight is loaded."""
    encoder = ChatEncoder(tokenizer, config.chat_template_kwargs)
    prompts: dict[str, set[int]] = {}

    def encode(name: str, source: str) -> EncodedPairs:
        stream = read_pairs(source, skip_bad=config.skip_bad)
        seen = prompts[name] = set()

        def note_prompts() -> Any:
            for pair in stream:
                seen.add(prompt_digest(pair))
                yield pair

        encoded = encode_pairs(
            note_prompts(), encoder, max_length=config.max_length, truncation=config.truncation
        )
        encoded.counts["unreadable"] = sum(stream.skipped.values())
        say(f"{name}: {_counts(len(encoded.pairs), encoded.counts)}")
        return encoded

    train = encode("Training pairs", config.pairs)
    if config.eval_pairs is None:
        return train, None
    evaluation = encode("Evaluation pairs", config.eval_pairs)
    shared = len(prompts["Training pairs"] & prompts["Evaluation pairs"])
    if shared:
        say(f"Warning: {shared} prompts are in the training and in the evaluation pairs.")
    return train, evaluation


def _counts(kept: int, counts: Counter[str]) -> str:
    words = {
        "too_long": "too long, dropped",
        "truncated": "cut at max_length",
        "identical": "with identical sides, dropped",
        "unreadable": "unreadable, skipped",
        "realigned": "realigned at the prompt's end",
        "special_text": "with special tokens as text",
    }
    notes = [f"{counts[key]} {text}" for key, text in words.items() if counts[key]]
    return f"{kept} of {counts['rows']}" + (f" ({'; '.join(notes)})" if notes else "")


def _trainer(
    config: TrainConfig,
    tokenizer: Any,
    train: EncodedPairs,
    evaluation: EncodedPairs | None,
    stop: StopOnSignal,
    say: Say,
) -> Any:
    from transformers import PrinterCallback, ProgressCallback
    from transformers.utils import logging

    from clairkit.training.trainer import PreferenceTrainer

    logging.disable_progress_bar()
    callbacks = [
        files.MetricsFile(Path(config.output)), ManifestCallback(), files.StepLines(say), stop,
    ]  # fmt: skip
    trainer = PreferenceTrainer(
        load_model(config),
        tokenizer,
        config,
        train.pairs,
        None if evaluation is None else evaluation.pairs,
        callbacks=callbacks,
    )
    for printer in (PrinterCallback, ProgressCallback):  # they write to stdout
        trainer.remove_callback(printer)
    say(f"Kernel: {trainer.path.kernel} ({trainer.path.reason})")
    say(f"Reference: {config.model} before training, computed once")
    return trainer


def _checkpoint(run: Path, inputs: Mapping[str, str], say: Say) -> str:
    from clairkit.training.identity import check_same_inputs

    check_same_inputs(run, inputs)
    folder, skipped = newest_whole(run)
    for line in skipped:
        say(f"Warning: skipped {line}")
    files.trim_metrics(run, step_of(folder))
    say(f"Resuming from {folder}")
    return str(folder)


def _last_metrics(history: list[dict[str, Any]]) -> dict[str, Any]:
    steps = [row for row in history if "loss" in row]
    if steps:
        return steps[-1]
    # shorter than logging_steps: the closing row holds the means over all steps
    return next(({**row, "loss": row["train_loss"]} for row in history if "train_loss" in row), {})


def _no_memory(config: TrainConfig) -> ResourceError:
    return ResourceError(
        f"out of memory while training, at a peak of {peak_memory_mb():.0f} MB",
        remedy="in this order: halve per_device_train_batch_size and double "
        f"gradient_accumulation_steps; set gradient_checkpointing: true; lower max_length "
        f"(now {config.max_length}). Checkpoints are kept",
    )


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))
