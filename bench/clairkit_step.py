"""The training step of clairkit, from the parts that its trainer uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator
from clairkit.losses import preference_loss
from clairkit.training.head import LogpsPath, attach_logps
from clairkit.training.reference import reference_logps


class ClairkitStep:
    """Forward, loss and backward of one batch by `linear_logps`.

    Args:
        model: a transformers causal language model; its forward is extended.
        pairs: prompt, chosen and rejected token ids of each pair.
        kernel: as in `clairkit train --kernel`.
        loss: a name of `clairkit.losses`.
        beta: factor on the log-ratios.
    """

    def __init__(
        self,
        model: Any,
        pairs: Sequence[tuple[list[int], list[int], list[int]]],
        *,
        kernel: str,
        loss: str,
        beta: float,
    ) -> None:
        self.path: LogpsPath = attach_logps(model, kernel)
        self.model, self.loss, self.beta = model, loss, beta
        device = next(model.parameters()).device
        self.pairs = [EncodedPair(str(index), *pair) for index, pair in enumerate(pairs)]
        self.collate = PairCollator(0)
        batch = self.collate(self.pairs)
        self.batch = {name: tensor.to(device) for name, tensor in batch.items()}
        self.reference = torch.zeros(2, len(pairs), device=device)

    def cache_reference(self) -> None:
        """Compute the reference's log-probs under the model as it is now."""
        rows = reference_logps(self.model, self.pairs, self.collate, len(self.pairs))
        sides = [torch.stack([row[side].sum() for row in rows]) for side in (0, 1)]
        self.reference = torch.stack(sides).to(self.reference.device)

    def run(self) -> tuple[Tensor, Tensor]:
        """Return the loss [] and the log-probs [2B], gradients done."""
        logps = self.model(**self.batch).sum(1)
        result = preference_loss(*logps.chunk(2), *self.reference, loss=self.loss, beta=self.beta)
        result.loss.backward()  # type: ignore[no-untyped-call]
        return result.loss.detach(), logps.detach()
