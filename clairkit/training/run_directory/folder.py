"""Write what a run directory tells of its run, the model card too; from command or Python."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import clairkit
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.leakage import forget_trained_prompts, write_trained_prompts
from clairkit.records.output import atomic_write
from clairkit.runs.curves import training_page
from clairkit.runs.diagnosis import Diagnosis, Movement, RunFacts, diagnose
from clairkit.training.best_metric import best_model
from clairkit.training.checkpoint.checkpoints import PARTIAL, checkpoints
from clairkit.training.checkpoint.identity import data_digest
from clairkit.training.config import TrainConfig
from clairkit.training.config_sources import Resolved
from clairkit.training.loss_choice import LossChoice
from clairkit.training.memory import peak_memory_mb
from clairkit.training.merge_adapter import remove_stale
from clairkit.training.run_directory import files
from clairkit.training.run_directory.files import CONFIG, METRICS, PAGE
from clairkit.training.run_directory.portable import hub_id, portable

if TYPE_CHECKING:
    from transformers import Trainer


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
    metrics: JsonMapping
    kernel: str
    form: str
    reference: str
    seconds: float
    peak_memory_mb: float  # of tensors on a GPU; without one, of the whole process
    diagnosis: Diagnosis
    movement: Movement | None = None  # how far the model moved; None of a run that a signal ended
    best: Mapping[str, object] | None = None
    """The metric for the best model, its value, and the step of the checkpoint that has it."""
    signal: int | None = None
    is_paused: bool = False
    """Whether it ended where it was to stop, with a checkpoint and no final model."""


@dataclass
class RunFolder:
    """Writes what a run starts from, and at its end what came of it."""

    resolved: Resolved
    sources: Mapping[str, int] = field(default_factory=dict)  # training pairs by their `source`
    counts: Mapping[str, int] = field(default_factory=dict)  # of `encode_pairs`
    prompts: Collection[int] = ()  # digests of the training prompts, none where they are not known
    started: float = field(default_factory=time.monotonic)
    signal: Callable[[], int | None] = lambda: None
    """The number of the signal that ended the run early."""
    is_paused: bool = False
    """Whether the run ended at a step where it was to stop."""

    @classmethod
    def from_python(
        cls,
        config: TrainConfig,
        sources: Mapping[str, int],
        prompts: Collection[int],
        choice: LossChoice | None = None,
    ) -> RunFolder:
        """Return that of a trainer which is made in Python.

        Args:
            config: its configuration.
            sources: training pairs by their `source`.
            prompts: digests of the training prompts.
            choice: what loss auto came to.
        """
        own = {f.name: f.default for f in fields(TrainConfig)}
        set_there = [name for name, value in own.items() if getattr(config, name) != value]
        origins = dict.fromkeys((*set_there, *config.arguments), "Python")
        derived = {key: origin for key, (_, origin) in config.derived.items()}
        resolved = Resolved(config, {**derived, **origins})
        return cls(choice.put_into(resolved) if choice else resolved, sources, prompts=prompts)

    @property
    def path(self) -> Path:
        return Path(self.resolved.config.output)

    def begin(self, trainer: Trainer) -> None:
        """Write what the run starts from; what an earlier run told must not pass for this one's."""
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (files.METRICS, files.CARD, files.PAGE):
            (self.path / name).unlink(missing_ok=True)
        if self.prompts:
            write_trained_prompts(self.path, self.prompts)
        else:
            forget_trained_prompts(self.path)
        choice = self.resolved.loss_choice
        self._write_facts({**inputs_of(trainer), **({"loss_choice": choice} if choice else {})})
        _write(self.path / files.CONFIG, files.portable_config(self.resolved))

    def clear(self, say: Callable[[str], None]) -> None:
        """Remove model and checkpoints of an earlier run, which must not be resumed."""
        for adapter in (True, False):
            remove_stale(self.path, adapter=adapter)
        stale = checkpoints(self.path)
        for folder in stale:
            shutil.rmtree(folder)
        if stale:
            say(f"Removed {len(stale)} checkpoints of the run that was in {self.path}")

    def resume(self, trainer: Trainer, step: int) -> None:
        """Go on with what a run told up to a step; where it told nothing, begin."""
        if (self.path / files.RUN).exists() and (self.path / files.CONFIG).exists():
            files.trim_metrics(self.path, step)
        else:
            self.begin(trainer)

    def facts(self, trainer: Trainer) -> RunFacts:
        """Return what the diagnosis reads beside the metrics."""
        config = self.resolved.config
        return RunFacts(
            loss=config.loss,
            beta=config.beta,
            learning_rate=trainer.args.learning_rate,
            sources={} if self.resolved.loss_choice else self.sources,  # verdicts know better
            counts=self.counts,
            reference=config.reference.portable,
            loss_mask=config.loss_mask,
            movement=trainer.movement,
        )

    def result(self, trainer: Trainer) -> TrainResult:
        """Return what the run did so far."""
        return TrainResult(
            output=self.path,
            pairs=len(trainer.train_dataset),
            counts={key: count for key, count in self.counts.items() if count},
            steps=trainer.state.global_step,
            metrics=_last_metrics(trainer.state.log_history),
            kernel=trainer.path.kernel,
            form=trainer.packing.form,
            reference=trainer.references.summary,
            seconds=round(time.monotonic() - self.started, 3),
            peak_memory_mb=peak_memory_mb(),
            diagnosis=diagnose(files.read_metrics(self.path), self.facts(trainer)),
            movement=trainer.movement,
            best=best_model(trainer),
            signal=self.signal(),
            is_paused=self.is_paused,
        )

    def finish(self, trainer: Trainer) -> None:
        """Write, beside the trained model, what says how it came about; run.json last."""
        config, result = self.resolved.config, self.result(trainer)
        facts = {
            **inputs_of(trainer),
            **asdict(result),
            "learning_rate": trainer.args.learning_rate,
        }
        del facts["output"]  # a run directory may be moved
        facts["diagnosis"] = result.diagnosis.to_dict()
        facts |= files.kept_facts(self.path)
        rows, name = files.read_metrics(self.path), self.path.absolute().name
        page = training_page(rows, result.diagnosis, name, self.facts(trainer))
        _write(self.path / files.PAGE, page)
        _write(self.path / files.CARD, model_card(config, facts))
        self._write_facts(facts)

    def _write_facts(self, facts: Mapping[str, object]) -> None:
        text = json.dumps(files.run_facts(self.resolved.config, facts), indent=1)
        _write(self.path / files.RUN, text + "\n")


def inputs_of(trainer: Trainer) -> dict[str, object]:
    """Return what a run starts from, by content; its adapter as it was before the first step."""
    return {
        "data_sha256": data_digest(trainer.train_dataset.pairs),
        "weights_sha256": trainer.weights_sha256,
        "adapter_sha256": trainer.adapter_sha256,
        "reference_sha256": trainer.references.source.digest,
        "reference_file": getattr(trainer.references.file, "name", ""),
        "processes": trainer.accelerator.num_processes,
    }


def _last_metrics(history: list[JsonObject]) -> dict[str, object]:
    steps = [row for row in history if "loss" in row]
    if steps:
        return steps[-1]
    # shorter than logging_steps: the closing row holds the means over all steps
    return next(({**row, "loss": row["train_loss"]} for row in history if "train_loss" in row), {})


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def model_card(config: TrainConfig, facts: JsonMapping) -> str:
    """Return the model card: what was trained on what, how, and what it did."""
    rows = "\n".join(
        f"| {name} | {value:.4g} |"
        for name, value in facts["metrics"].items()
        if isinstance(value, float)
    )
    base = hub_id(config.model)
    name = base or portable(config.model)
    adapter = portable(config.adapter) if config.adapter else ""
    goes_on = f", going on with the adapter `{adapter}`," if adapter else ""
    choice = f"\n- {facts['loss_choice']['reason']}" if "loss_choice" in facts else ""
    findings = "\n".join(f"- {item['text']}" for item in facts["diagnosis"]["findings"])
    return f"""---
{_metadata(config, base)}---

# {Path(config.output).absolute().name}

`{name}`{goes_on} trained with clairkit {clairkit.__version__} on {facts["pairs"]}
preference pairs of `{Path(config.pairs).name}`.

- loss `{config.loss}`, beta {config.beta}, {facts["steps"]} steps,
  learning rate {facts["learning_rate"]:g}{choice}
- {facts["reference"]}
- kernel `{facts["kernel"]}`, sequences {facts["form"]}
- all settings, with their origin: `{CONFIG}`; a row for each logged step: `{METRICS}`, as
  curves: `{PAGE}`

{facts["diagnosis"]["headline"]}

{findings}

The last logged step (rewards are beta times the log-ratio to the reference, in nats):

| metric | value |
|---|---|
{rows}
"""


def _metadata(config: TrainConfig, base: str | None) -> str:
    """The YAML that the Hub reads; it refuses a base model that is no id."""
    import yaml

    adapter = config.trains_adapter and not config.merge_adapter
    known = {
        **({"base_model": base} if base else {}),
        "library_name": "peft" if adapter else "transformers",
        "tags": ["clairkit", "preference-optimization", *(name for _, name in config.mix.terms)],
    }
    return yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
