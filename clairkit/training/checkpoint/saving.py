"""Save so that a kill or a full disk can't spoil it: write aside, sync, rename."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME

from clairkit.errors import ResourceError
from clairkit.records.output import sync_folder
from clairkit.training.checkpoint.checkpoints import (
    PARTIAL,
    put_in_place,
    rotate,
    sync_file,
    write_manifest,
)
from clairkit.training.checkpoint.interrupt import EvaluationStopped, held_back
from clairkit.training.merge_adapter import remove_stale
from clairkit.training.models import ADAPTER_CONFIG
from clairkit.training.run_directory.files import METRICS

_WEIGHTS = re.compile(r"(\w+?)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")
# By these a folder is known for a model: they come after the weights.
_LAST = ("config.json", "adapter_config.json")
# What torch.save says when its file can't be written; it has no error class of its own for that.
_TORCH_WRITE = re.compile(r"PytorchStreamWriter|inline_container|file write failed")


class SafeSaving(Trainer):  # type: ignore[misc]  # transformers is untyped
    """A Trainer whose checkpoints and final model appear whole or not at all.

    In a run of several processes all of them must save, on a file system that they share.
    """

    _making = False  # a checkpoint, in PARTIAL

    def _get_output_dir(self, trial: object) -> str:
        folder: str = super()._get_output_dir(trial)
        return str(Path(folder) / PARTIAL) if self._making else folder

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Save as the Trainer does, in PARTIAL; then manifest, rename and rotation."""
        run = Path(self._get_output_dir(trial))
        final = run / f"checkpoint-{self.state.global_step}"
        with held_back(), self._aside(run, final):
            self._making = True
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._making = False
            self._name_best(run, final)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._put_in_place(run, final)
            self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(final))

    def _name_best(self, run: Path, final: Path) -> None:
        """Correct the best checkpoint's path, which the Trainer looked for in PARTIAL."""
        if self.state.best_global_step:
            best = run / f"checkpoint-{self.state.best_global_step}"
            if best == final or best.is_dir():
                self.state.best_model_checkpoint = str(best)

    def _put_in_place(self, run: Path, final: Path) -> None:
        fresh = run / PARTIAL / final.name
        self.state.save_to_json(str(fresh / TRAINER_STATE_NAME))
        write_manifest(fresh)
        if (run / METRICS).exists():
            sync_file(run / METRICS)  # no row that a resumed run keeps may be missing
        put_in_place(fresh, final)
        rotate(run, self.args.save_total_limit, final, self.state.best_model_checkpoint)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Push as the Trainer does, once the checkpoint is in its place."""
        if not self._making:
            super()._push_from_checkpoint(checkpoint_folder)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as the Trainer does; each file of an earlier model is replaced in one step."""
        if self._making:
            super().save_model(output_dir, _internal_call)
            return
        target = Path(output_dir or self.args.output_dir)
        with held_back(), self._aside(target, target):
            super().save_model(str(target / PARTIAL / "model"), _internal_call=True)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                fresh = target / PARTIAL / "model"
                adapter = (fresh / ADAPTER_CONFIG).exists()
                replace_files(fresh, target)
                remove_stale(target, adapter=adapter)
            self.accelerator.wait_for_everyone()
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)

    def _evaluate(self, *args: object, **kwargs: object) -> Any:
        """Evaluate; when a signal breaks it off, save a checkpoint of this step and stop."""
        try:
            return super()._evaluate(*args, **kwargs)
        except EvaluationStopped:
            self.control.should_save = self.control.should_training_stop = True
            self.control.should_evaluate = False  # else once more at the end of the epoch
            return {}

    @contextmanager
    def _aside(self, folder: Path, target: Path) -> Iterator[None]:
        """Give the block an empty `folder`/PARTIAL, and remove it, also after an error."""
        if self.args.should_save:
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        try:
            with disk_errors(target):
                yield
        finally:
            if self.args.should_save:
                shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def replace_files(fresh: Path, target: Path) -> None:
    """Move all files of `fresh` into `target`, weights first, each in one step.

    Weights under the same beginning that are not among them go: a model in one file would be read
    in place of a new one in several.
    """
    files = [path for path in fresh.rglob("*") if path.is_file()]
    for path in files:
        sync_file(path)
    written = {target / path.relative_to(fresh) for path in files}
    for path in sorted(files, key=lambda path: (path.name in _LAST, path)):
        final = target / path.relative_to(fresh)
        final.parent.mkdir(parents=True, exist_ok=True)
        path.replace(final)
    beginnings = {_beginning(path) for path in written} - {None}
    for path in list(target.iterdir()):
        if path.is_file() and path not in written and _beginning(path) in beginnings:
            path.unlink()
    for folder in {path.parent for path in written}:
        sync_folder(folder)


def _beginning(path: Path) -> str | None:
    """Return `model` of model.safetensors, its shards and their index."""
    match = _WEIGHTS.fullmatch(path.name)
    return match[1] if match else None


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn what the disk refuses into one error.

    Raises:
        ResourceError: with the path and the free bytes.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        elif isinstance(error, SafetensorError):
            reason = str(error)
        elif _TORCH_WRITE.search(str(error)):
            reason = "torch.save could not write all of it"
        else:
            raise
        there = next(path for path in (target, *target.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        raise ResourceError(
            f"{target} can't be written: {reason}; {free:,} bytes are free there",
            remedy="make room, or set save_total_limit, then go on with --resume: what was saved "
            "before is untouched",
        ) from error
