"""Compute, once, the per-token log-probs that the policy is measured against.

They are kept in a folder (see `clairkit.training.reference.cache`) and found again by token ids:
another beta, loss, mask or length limit costs nothing. A response that is the beginning of a kept
one is found, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clairkit.batching import EncodedPair
from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.training.checkpoint.identity import adapter_digest, weights_digest
from clairkit.training.processes import is_first
from clairkit.training.reference.cache import CacheFile, Source, candidates, write_cache
from clairkit.training.reference.models import (
    Collate,
    ReferenceModel,
    ReferenceSettings,
    precision_of,
    reference_model,
)
from clairkit.training.reference.processes import share_missing, share_out
from clairkit.training.reference.sequences import NeededSequences
from clairkit.training.reference.spec import Ref
from clairkit.training.run_directory.portable import portable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class References:
    """The reference log-probs of some pairs and where they come from."""

    logps: list[tuple[Tensor, Tensor]]
    """(chosen [len(chosen_ids)], rejected [len(rejected_ids)]) of each pair, float32 on the CPU."""
    description: str  # a line for people at this machine
    summary: str
    """The same for people anywhere: what the reference is, not where its log-probs were."""
    source: Source  # whose log-probs they are; `source.digest` is what a run should resume with
    is_policy: bool
    """Whether the reference is the policy as it was given, so that its rewards are 0."""
    file: Path | None  # a file that holds all of them; None when none could be written


def cache_folder() -> Path:
    """Return where reference caches are kept.

    That is `reference` in $CLAIRKIT_CACHE, in clairkit of $XDG_CACHE_HOME, or in ~/.cache/clairkit.
    """
    own = os.environ.get("CLAIRKIT_CACHE")
    if own:
        return Path(own).absolute() / "reference"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not shared.is_absolute():  # a relative one is to be ignored, says its specification
        shared = Path("~/.cache").expanduser()
    return shared / "clairkit" / "reference"


def compute_references(
    policy: nn.Module,
    ref: Ref,
    pairs: Sequence[EncodedPair],
    collate: Collate,
    settings: ReferenceSettings,
) -> References:
    """Return the reference log-probs of all pairs, from the cache as far as they are there.

    The policy is as it was before: weights, adapters, trainable flags, training mode.

    Args:
        policy: the model to train, with `attach_logps` done, on its device, before any step.
        ref: the reference.
        pairs: all pairs of a run, training and held out; a side may be empty.
        collate: makes the parts of the policy's forwards.
        settings: how to compute and where to keep.

    Raises:
        UsageError: the reference can't be loaded, does not fit the policy, or a cache file is of
            other weights.
        DataError: a named cache file is damaged or lacks sequences.
        ResourceError: a log-prob is not finite.
    """
    weights = settings.weights_sha256 or weights_digest(policy)
    sequences = NeededSequences(pairs)
    written: Path | None
    if ref.kind == "cache":
        device = next(policy.parameters()).device
        own = Source(weights, precision_of(policy, device), model=settings.name)
        file = _checked_file(Path(ref.value), own)
        sequences.look_up(file)
        sequences.refuse_missing(file.path)
        source, written = file.source, file.path
        summary = _whose(file.source)
        words = f"{summary}, all {len(sequences):,} sequences from {file.path}"
    else:
        with reference_model(policy, ref, collate, settings, weights) as reference:
            source = reference.source
            origin, written = _fill(sequences, reference, settings)
        words = f"{reference.words} ({_short(source)}), {origin}"
        summary = f"{reference.portable_words} ({_short(source)})"
    is_policy = (source.weights, source.adapter) == (weights, adapter_digest(policy))
    return References(
        sequences.by_pair(),
        f"Reference: {words}",
        f"Reference: {summary}",
        source,
        is_policy,
        written,
    )


@torch.no_grad()
def reference_logps(
    model: PreTrainedModel,
    pairs: Sequence[EncodedPair],
    collate: Collate,
    batch_size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[tuple[Tensor, Tensor]]:
    """Return (chosen, rejected) per-token log-probs of each pair under the model as it is now.

    Args:
        model: with `attach_logps` done; it is run in evaluation mode.
        pairs: the pairs; those of like length are computed together.
        collate: makes the parts of a batch.
        batch_size: pairs given to `collate` at once.
        progress: called with the number of pairs done.

    Raises:
        ResourceError: a log-prob is not finite; names the pairs.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(pairs)), key=lambda i: _length(pairs[i]), reverse=True)
    result: dict[int, tuple[Tensor, Tensor]] = {}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for part in collate([pairs[i] for i in batch]):
                members = [batch[i] for i in part.index]
                moved = part.to(device)
                flat = model(**moved.model).flatten()[moved.side_index].float().cpu()
                if not bool(torch.isfinite(flat).all()):
                    raise _not_finite([pairs[i].id for i in members])
                sides = flat.split(part.lengths)
                chosen, rejected = sides[: len(members)], sides[len(members) :]
                result.update(zip(members, zip(chosen, rejected, strict=True), strict=True))
            progress(min(start + batch_size, len(order)))
    finally:
        for module, training in modes.items():
            module.training = training
    return [result[i] for i in range(len(pairs))]


def _fill(
    sequences: NeededSequences, reference: ReferenceModel, settings: ReferenceSettings
) -> tuple[str, Path | None]:
    """Look up, compute the rest, keep all; return where they came from and what holds them."""
    files = _look_up_all(sequences, reference.source, settings)
    share_missing(sequences)
    pairs = sequences.missing_pairs()
    computed = len(sequences.missing())
    if pairs:
        model, collate = reference.ready()

        def compute(some: Sequence[EncodedPair]) -> list[tuple[Tensor, Tensor]]:
            def progress(done: int) -> None:
                settings.progress(done, len(some))

            return reference_logps(model, some, collate, settings.batch_size, progress)

        sequences.take(share_out(pairs, compute))
    path = files[0] if len(files) == 1 and not computed else None
    if path is None and settings.folder is not None and is_first():
        path = _write(sequences, settings.folder, reference.source, settings.say)
    return _origin(len(sequences), computed, files, path), path


def _look_up_all(
    sequences: NeededSequences, source: Source, settings: ReferenceSettings
) -> list[Path]:
    """Look into every file for the source until nothing is missing; return those of use."""
    if settings.folder is None:
        return []
    try:
        paths = candidates(settings.folder, source)
    except OSError as error:
        settings.say(f"Warning: {settings.folder} can't be read ({error.strerror})")
        return []
    first = settings.first
    if first is not None:  # the sort is stable: the others stay in their order
        paths.sort(key=lambda path: path.name != first.name)
    used = []
    for path in paths:
        if not sequences.missing():
            break
        try:
            file = CacheFile(path)
        except DataError as error:
            settings.say(f"Warning: {error}")
            continue
        if file.source == source and sequences.look_up(file):
            used.append(path)
    return used


def _write(
    sequences: NeededSequences, folder: Path, source: Source, say: Callable[[str], None]
) -> Path | None:
    try:
        return write_cache(folder, source, sequences.entries())
    except ResourceError as error:
        say(f"Warning: the reference is not kept for other runs. {error}")
    except OSError as error:
        say(f"Warning: the reference is not kept for other runs: {folder}: {error.strerror}")
    return None


def _origin(total: int, computed: int, files: list[Path], path: Path | None) -> str:
    name = "cache " + str(files[0]) if len(files) == 1 else f"{len(files)} cache files"
    kept = f", kept in {path}" if path else ""
    if not computed:
        return f"all {total:,} sequences from {name}{kept if len(files) > 1 else ''}"
    if computed == total:
        return f"{total:,} sequences computed{kept}"
    return f"{total - computed:,} of {total:,} sequences from {name}, {computed:,} computed{kept}"


def _checked_file(path: Path, own: Source) -> CacheFile:
    """Return the file if it was made with the policy's base weights in its precision."""
    file = CacheFile(path)
    made = file.source
    remedy = (
        "train from the model and in the precision that it was made with, or leave --ref out "
        "to compute the reference anew"
    )
    if made.weights != own.weights:
        raise UsageError(
            f"the base weights changed since the reference cache {path} was made: "
            f"{_named(made)} then, {_named(own)} now",
            remedy=remedy,
        )
    if made.precision != own.precision:
        raise UsageError(
            f"the reference cache {path} was made in another precision: {made.precision} then, "
            f"{own.precision} now",
            remedy=remedy,
        )
    return file


def _named(source: Source) -> str:
    of = f"of {source.model} " if source.model else ""
    return f"those {of}with sha256 {source.weights[:12]}… ({source.precision})"


def _whose(source: Source) -> str:
    adapter = f" with adapter {source.adapter[:8]}…" if source.adapter else ""
    model = portable(source.model) if source.model else "the base model"
    return f"{model}{adapter} ({_short(source)})"


def _short(source: Source) -> str:
    return f"weights {source.weights[:8]}…, {source.precision}"


def _length(pair: EncodedPair) -> int:
    return len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))


def _not_finite(ids: list[str]) -> ResourceError:
    return ResourceError(
        f"a log-prob of the reference is not finite; pairs {', '.join(ids)}",
        remedy="run it in float32 or bfloat16, or leave these pairs out",
    )
