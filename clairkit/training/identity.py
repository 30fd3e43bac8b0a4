"""What a run started from, by content: its token ids and its weights, not their paths."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clairkit.batching import EncodedPair
from clairkit.errors import UsageError
from clairkit.training.files import RUN

# Elements of each parameter that enter the weights' digest: a trained model differs everywhere.
_SAMPLES = 1024
_INPUTS = {"data_sha256": "the training pairs", "weights_sha256": "the model's weights"}


def data_digest(pairs: Sequence[EncodedPair]) -> str:
    """Return the sha256 of all token ids, in order."""
    total = hashlib.sha256()
    for pair in pairs:
        for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids):
            total.update(array("q", [len(ids), *ids]).tobytes())
    return total.hexdigest()


@torch.no_grad()
def weights_digest(model: nn.Module) -> str:
    """Return the sha256 of every parameter's name, shape and evenly spaced elements."""
    total = hashlib.sha256()
    for name, parameter in model.named_parameters():
        total.update(f"{name} {list(parameter.shape)} {parameter.dtype}\n".encode())
        flat = parameter.detach().reshape(-1)
        sample = flat[:: max(1, len(flat) // _SAMPLES)]
        total.update(sample.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def check_same_inputs(run: Path, now: Mapping[str, Any]) -> None:
    """Refuse to resume from other pairs or weights, even under the same paths.

    Raises:
        UsageError: with what differs.
    """
    try:
        before = json.loads((run / RUN).read_text(encoding="utf-8"))
        changed = [what for key, what in _INPUTS.items() if before.get(key) != now[key]]
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{run / RUN} can't be read: {error}") from error
    if changed:
        raise UsageError(
            f"{' and '.join(changed)} changed since {run} was started",
            remedy="bring back what it started from, or start a new run with another --output",
        )
