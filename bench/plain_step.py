"""A preference training step as textbooks have it, in torch and a transformers model alone.

It is what clairkit is measured against and checked against, so it imports nothing of clairkit. It
is written kindly: no copy of the logits that the mathematics does not ask for, one log-softmax with
the sum in float32, the reference's log-probs computed once and kept.

Shapes: B pairs, L the longest sequence, V vocabulary; rows 0..B-1 are chosen, B..2B-1 rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

# prompt, chosen and rejected token ids
Pair = tuple[list[int], list[int], list[int]]


class PlainStep:
    """Forward, loss and backward of one batch with all logits at once.

    Args:
        model: a transformers causal language model.
        pairs: the batch.
        loss: apo_zero or sigmoid (DPO).
        beta: factor on the log-ratios.
        trimmed: leave out the logits before the first response of the batch (`logits_to_keep`).
    """

    def __init__(
        self, model: Any, pairs: Sequence[Pair], *, loss: str, beta: float, trimmed: bool = False
    ) -> None:
        if loss not in ("apo_zero", "sigmoid"):
            raise ValueError(f"the plain step has apo_zero and sigmoid: received {loss!r}")
        self.model, self.loss, self.beta = model, loss, beta
        self.inputs, labels = _padded(pairs, next(model.parameters()).device)
        width = labels.shape[1]
        shortest = min(len(prompt) for prompt, _, _ in pairs)
        self.keep = width - (shortest - 1) if trimmed else 0  # 0: transformers' "all"
        self.labels = labels[:, width - self.keep :] if trimmed else labels
        self.reference = torch.zeros(len(labels), device=labels.device)

    def cache_reference(self) -> None:
        """Compute the reference's log-probs under the model as it is now."""
        with torch.no_grad():
            self.reference = self.logps()

    def run(self) -> tuple[Tensor, Tensor]:
        """Return the loss [] and the log-probs [2B], gradients done."""
        logps = self.logps()
        chosen, rejected = (logps - self.reference).chunk(2)
        if self.loss == "sigmoid":
            losses = -logsigmoid(self.beta * (chosen - rejected))
        else:
            losses = 1 - torch.sigmoid(self.beta * chosen) + torch.sigmoid(self.beta * rejected)
        loss = losses.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), logps.detach()

    def logps(self) -> Tensor:
        """Return the summed log-probs of every response [2B]."""
        mask = self.labels >= 0
        index = self.labels.clamp(min=0)[..., None]
        tokens = self._log_softmax().gather(2, index)[..., 0]
        return (tokens * mask).sum(1)

    def _log_softmax(self) -> Tensor:
        """Return [2B, L, V] float32; the logits themselves are free once it is made."""
        output = self.model(**self.inputs, use_cache=False, logits_to_keep=self.keep)
        return torch.log_softmax(output.logits, -1, dtype=torch.float32)


def _padded(pairs: Sequence[Pair], device: torch.device) -> tuple[dict[str, Tensor], Tensor]:
    """Return the model's inputs [2B, L] and the next tokens to predict [2B, L], -1 for none."""
    rows = [(prompt, chosen) for prompt, chosen, _ in pairs]
    rows += [(prompt, rejected) for prompt, _, rejected in pairs]
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -1)
    for row, (prompt, response) in enumerate(rows):
        used = len(prompt) + len(response)
        ids[row, :used] = torch.tensor([*prompt, *response])
        mask[row, :used] = 1
        labels[row, len(prompt) - 1 : used - 1] = torch.tensor(response)
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    return inputs, labels.to(device)
