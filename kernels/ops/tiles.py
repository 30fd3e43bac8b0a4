"""One tile of logits, in torch ops: from raw products to exponentials or to their gradient.

A tile holds T tokens by C vocabulary columns. `anchor` [T] is what exponents are taken against:
the target's own logit (so that a token's log-prob is -log1p(sum)), or the row's maximum where the
target's logit is so low that the sum would overflow. The target's column never enters the sum, so
a rounded product can't push a log-prob above 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clairkit.kernels.options import HeadOptions

# exp(76) summed over 10^5 columns is still finite in float32.
MAX_EXPONENT = 76.0


class TorchTiles:
    """The tile operations on any device."""

    def exponentials(
        self, z: Tensor, columns: slice, targets: Tensor, anchor: Tensor, head: TileHead
    ) -> tuple[Tensor, Tensor]:
        """Turn raw products z [T, C] into (sums [T], d(sum)/dz-weighted exponentials [T, C])."""
        logits, slope = head.logits(z, columns)
        e = logits.sub_(anchor[:, None]).clamp_(max=MAX_EXPONENT).exp_()
        _set_targets(e, columns, targets, 0.0)
        sums = e.sum(1)
        return sums, e if slope is None else e.mul_(slope)

    def gradient(
        self, z: Tensor, columns: slice, targets: Tensor, lse: Tensor, logps: Tensor,
        coefficients: Tensor, head: TileHead,
    ) -> Tensor:  # fmt: skip
        """Turn raw products z [T, C] into c * (onehot - p) * dlogit/dz [T, C], float32."""
        logits, slope = head.logits(z, columns)
        p = logits.sub_(lse[:, None]).exp_().neg_()
        _set_targets(p, columns, targets, -torch.expm1(logps))
        if slope is not None:
            p.mul_(slope)
        return p.mul_(coefficients[:, None])

    def maximum(self, z: Tensor, columns: slice, head: TileHead) -> Tensor:
        """Return the largest logit of each row, [T]."""
        return head.logits(z, columns)[0].amax(1)


class TileHead:
    """Bias, softcap and scale of the head, applied to a tile of raw products."""

    def __init__(self, bias: Tensor | None, options: HeadOptions, dtype: torch.dtype) -> None:
        self.bias = None if bias is None else bias.to(dtype)
        self.options = options
        self.dtype = dtype

    def logits(self, z: Tensor, columns: slice) -> tuple[Tensor, Tensor | None]:
        """Return (logits, dlogit/dz or None where it is 1). May reuse z's memory."""
        x = z.to(self.dtype)
        if self.bias is not None:
            x = x.add_(self.bias[columns])
        slope = None
        cap, scale = self.options.softcap, self.options.logit_scale
        if cap is not None:
            x = x.div_(cap).tanh_()
            slope = torch.addcmul(x.new_tensor(scale), x, x, value=-scale)
            x = x.mul_(cap)
        if scale != 1.0:
            x = x.mul_(scale)
            if slope is None:
                slope = x.new_tensor(scale)
        return x, slope


def _set_targets(tile: Tensor, columns: slice, targets: Tensor, value: Tensor | float) -> None:
    """Write `value` ([T] or a number) where a row's target lies in the tile; no host sync."""
    inside = (targets >= columns.start) & (targets < columns.stop)
    index = torch.where(inside, targets - columns.start, 0)[:, None]
    old = tile.gather(1, index)[:, 0]
    new = torch.where(inside, torch.as_tensor(value, dtype=tile.dtype, device=tile.device), old)
    tile.scatter_(1, index, new[:, None])
