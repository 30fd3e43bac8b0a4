"""Train on preferences as textbooks have it, in torch and transformers alone.

It is what clairkit is checked against where TRL is not installed, so it imports nothing of
clairkit. It is written kindly: no copy of the logits that the mathematics does not ask for, one
log-softmax with the sum in float32, the reference's log-probs computed once and kept.

Shapes: B pairs, L the longest sequence, V vocabulary; rows 0..B-1 are chosen, B..2B-1 rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import Trainer, TrainingArguments

# prompt, chosen and rejected token ids
Pair = tuple[list[int], list[int], list[int]]


class PlainTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """All logits at once, and the loss of their gathered log-softmax.

    Args:
        model: a transformers causal language model; it is the reference, too.
        pairs: the training pairs.
        loss: apo_zero or sigmoid (DPO).
        beta: factor on the log-ratios.
        trimmed: leave out the logits before the first response of the batch (`logits_to_keep`).
        arguments: of TrainingArguments.
    """

    def __init__(
        self,
        model: Any,
        pairs: Sequence[Pair],
        *,
        loss: str,
        beta: float,
        trimmed: bool,
        arguments: Mapping[str, Any],
    ) -> None:
        if loss not in ("apo_zero", "sigmoid"):
            raise ValueError(f"the plain step has apo_zero and sigmoid: received {loss!r}")
        self.loss_name, self.beta, self.trimmed = loss, beta, trimmed
        self.means: dict[str, float] = {}
        rows = [{"pair": pair, "reference": self.logps(model, collate([pair]))} for pair in pairs]
        super().__init__(
            model=model,
            args=TrainingArguments(remove_unused_columns=False, label_names=[], **arguments),
            train_dataset=rows,
            data_collator=collate_rows,
        )
        self.model_accepts_loss_kwargs = False  # the loss is a mean: divided by the accumulation

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], *_: object, **__: object
    ) -> Tensor:
        reference = inputs.pop("reference")
        logps = self.logps(model, inputs, grad=True)
        chosen, rejected = (logps - reference).chunk(2)
        if self.loss_name == "sigmoid":
            losses = -logsigmoid(self.beta * (chosen - rejected))
        else:
            losses = 1 - torch.sigmoid(self.beta * chosen) + torch.sigmoid(self.beta * rejected)
        for side, values in zip(("chosen", "rejected"), logps.detach().chunk(2), strict=True):
            self.means[f"logps/{side}"] = values.mean().item()
        return losses.mean()

    def logps(self, model: Any, inputs: Mapping[str, Tensor], *, grad: bool = False) -> Tensor:
        """Return the summed log-probs of every response [2B]."""
        keep, labels = 0, inputs["labels"]  # 0: transformers' "all"
        if self.trimmed:
            keep = labels.shape[1] - int((labels >= 0).any(0).nonzero()[0])
            labels = labels[:, -keep:]
        with torch.set_grad_enabled(grad):
            output = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                use_cache=False,
                logits_to_keep=keep,
            )
            logits = output.logits
            del output  # else the logits live as long as their log-softmax
            mask, index = labels >= 0, labels.clamp(min=0)[..., None]
            table = torch.log_softmax(logits, -1, dtype=torch.float32)
            del logits
            return (table.gather(2, index)[..., 0] * mask).sum(1)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log with the log-probs of the last batch, under TRL's names."""
        super().log(logs | self.means, *args, **kwargs)


def collate_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Return a batch with its reference log-probs [2B]."""
    sides = torch.stack([row["reference"] for row in rows])  # [B, 2]
    return {**collate([row["pair"] for row in rows]), "reference": sides.T.flatten()}


def collate(pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """Return `input_ids`, `attention_mask` and `labels`, the next tokens or -1, each [2B, L]."""
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
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
