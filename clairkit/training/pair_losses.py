"""Turn the log-probs of a part's tokens into the losses of its pairs."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clairkit.errors import GateError, ResourceError
from clairkit.kernels import fused_preference
from clairkit.kernels.preference import fits_one_launch
from clairkit.logprobs.head import LogpsPath
from clairkit.losses import PairLogps, PreferenceLoss, fusable, loss_options, preference_loss
from clairkit.training.checkpoint.nan_guard import not_finite
from clairkit.training.config import TrainConfig
from clairkit.training.data import StepSize, TrainingPart

if TYPE_CHECKING:
    from accelerate import Accelerator


class PairLosses:
    """What a trainer of pairs computes of a part, by the configured loss."""

    config: TrainConfig
    path: LogpsPath
    accelerator: Accelerator
    _step: StepSize

    def token_logps(self, model: nn.Module, part: TrainingPart) -> Tensor:
        """Return the log-probs [S] of a part's response tokens, sequence after sequence."""
        logps: Tensor = model(**part.model).flatten()
        return logps[part.side_index]

    def pair_losses(self, tokens: Tensor, part: TrainingPart) -> tuple[PairLogps, PreferenceLoss]:
        """Return the summed log-probs of a part and its losses, given its tokens' [S]."""
        if part.weights is not None:
            tokens = tokens * part.weights
        if self._fuses(part):
            return self._fused_losses(tokens, part)
        sequences = torch.split(tokens, part.lengths)
        sums = torch.stack([sequence.sum() for sequence in sequences])
        pairs = self._pair_logps(sums, part)
        return pairs, self._loss(pairs)

    def _fuses(self, part: TrainingPart) -> bool:
        size = len(part.ids)
        alone = self.accelerator.num_processes == 1
        whole = alone and size == self._step.pairs and part.sides == 2 * size
        return (
            self.path.kernel == "triton"
            and fits_one_launch(size)
            and fusable(self.config.mix, self.config.loss_options, whole=whole)
        )

    def _fused_losses(self, tokens: Tensor, part: TrainingPart) -> tuple[PairLogps, PreferenceLoss]:
        """Sum, compare and differentiate in one launch; the host reads nothing in between."""
        (options,) = loss_options(self.config.mix, self.config.beta, self.config.loss_options)
        starts = list(itertools.accumulate(part.lengths, initial=0))
        found = fused_preference(
            tokens,
            torch.tensor(starts, device=tokens.device),
            part.ref_sums,
            loss=str(self.config.mix),
            beta=options.beta,
            lengths=part.sizes,
            label_smoothing=options.label_smoothing,
            discopop_tau=options.discopop_tau,
        )
        result = PreferenceLoss(
            found.loss, found.losses, found.chosen_rewards, found.rejected_rewards
        )
        return self._pair_logps(found.sums, part), result

    def _pair_logps(self, sums: Tensor, part: TrainingPart) -> PairLogps:
        columns = (*sums.chunk(2), *part.ref_sums.chunk(2), *part.sizes.chunk(2))
        return PairLogps(*columns, **self._step.means)  # type: ignore[arg-type]  # by keyword

    def _loss(self, pairs: PairLogps) -> PreferenceLoss:
        return preference_loss(
            pairs.chosen,
            pairs.rejected,
            pairs.ref_chosen,
            pairs.ref_rejected,
            loss=self.config.mix,
            beta=self.config.beta,
            chosen_lengths=pairs.chosen_lengths,
            rejected_lengths=pairs.rejected_lengths,
            mean_chosen_length=pairs.mean_chosen_length,
            mean_sides=pairs.mean_sides,
            **self.config.loss_options,
        )


def loss_not_finite(result: PreferenceLoss, ids: list[str]) -> ResourceError:
    """Return the error for a loss that is not finite, with the pairs at fault."""
    bad = [
        pair
        for pair, loss in zip(ids, result.losses.tolist(), strict=True)
        if not math.isfinite(loss)
    ]
    return not_finite(f"the loss is {result.loss.item()}", bad or ids)


# How far a summed log-prob may stray from the reference before any step, in nats a token.
_NATS = {torch.float32: 1e-4, torch.float64: 1e-6}
_NATS_HALF = 2e-2


def allowed_gap(model: nn.Module, *, half: bool) -> float:
    """Return how far a log-prob may be off, in nats a token.

    Args:
        model: the policy; the dtype of its weights counts.
        half: whether products are rounded to 16 bits, or weights to 4.
    """
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    return _NATS_HALF if half else _NATS.get(dtype, _NATS_HALF)


def check_step_zero(pairs: PairLogps, loss: float, expected: float, nats: float) -> None:
    """Refuse to train a policy that is not its reference.

    Args:
        pairs: log-probs of the first part, made without dropout as the reference's were.
        loss: of these pairs.
        expected: their loss where the policy is the reference.
        nats: see `allowed_gap`.

    Raises:
        GateError: a log-prob is further from the reference's than rounding explains.
    """
    gaps = torch.stack([pairs.chosen_ratio.abs(), pairs.rejected_ratio.abs()])
    sizes = [size for size in (pairs.chosen_lengths, pairs.rejected_lengths) if size is not None]
    if bool((gaps > 1e-3 + nats * torch.stack(sizes)).any()):
        raise GateError(
            f"at step 0 the loss is {loss:.6f} and should be {expected:.6f}; a log-prob is "
            f"{gaps.max().item():.4f} nats away from the reference's",
            remedy="check that the reference is the model you train and that both run in the same "
            "precision; `--kernel eager` rules out the kernel, `--set padding_free=false` the "
            "packing",
        )
