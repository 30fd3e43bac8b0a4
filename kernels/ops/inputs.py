"""Check the tensors of public calls: plain ones, on one device; pick the tokens that count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.kernels.options import IGNORED

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_plain(**tensors: Tensor | None) -> None:
    """Raise unless every tensor is strided, has memory of its own, and shares the others' device.

    Kernels read memory by address. Reads attributes alone: no value, no wait for a device.

    Raises:
        TypeError: something that is no tensor.
        ValueError: a sparse, nested, quantised, meta or distributed tensor; several devices.
    """
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    for name, tensor in given.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor: received {type(tensor).__name__}")
        unfit = _unfit(tensor)
        if unfit is not None:
            kind, remedy = unfit
            raise ValueError(f"{name} must be a plain strided tensor: received {kind}; {remedy}")
    if len({tensor.device for tensor in given.values()}) > 1:
        places = ", ".join(f"{name} on {tensor.device}" for name, tensor in given.items())
        raise ValueError(f"all tensors must be on one device: received {places}; move them there")


def _unfit(tensor: Tensor) -> tuple[str, str] | None:
    """Return (what the tensor is, what to do), or None for a plain one."""
    if not torch.compiler.is_compiling() and _is_wrapper(type(tensor)):
        whole = "full_tensor()" if hasattr(tensor, "full_tensor") else "a plain copy"
        return f"a {type(tensor).__name__}", f"pass its {whole}"
    if tensor.is_nested:
        return "a nested tensor", "pass its rows as one matrix"
    if tensor.layout != torch.strided:
        return f"layout {tensor.layout}", "pass its to_dense()"
    if tensor.is_quantized:
        return f"a quantised tensor ({tensor.dtype})", "pass its dequantize()"
    if tensor.is_meta:
        return "a tensor on the meta device, which has no values", "load the values first"
    return None


def _is_wrapper(kind: type[Tensor]) -> bool:
    """Tell whether tensors of a class answer operations themselves, as DTensor does.

    A fake tensor does, but our operators tell it what they return.
    """
    if kind is Tensor or kind is torch.nn.Parameter:
        return False
    own = kind.__torch_dispatch__ is not Tensor.__torch_dispatch__
    return own and not issubclass(kind, torch._subclasses.FakeTensor)


def check_memory(**tensors: Tensor | None) -> None:
    """Check that tensors have their memory, which FSDP frees outside of forward.

    Raises:
        ValueError: a tensor's memory was freed.
    """
    for name, tensor in tensors.items():
        if tensor is not None and tensor.numel() and not tensor.data_ptr():
            raise ValueError(
                f"{name} has no memory: received {list(tensor.shape)} whose storage was freed; "
                "under FSDP call from within the forward of the module that owns it"
            )


def check_head(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> None:
    """Check that the shapes and dtypes of a head's inputs fit together.

    Args:
        hidden: [N, D].
        weight: [V, D].
        targets: [N], int64.
        bias: [V], or None.

    Raises:
        ValueError: a shape or dtype does not fit.
    """
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            "hidden must be [N, D] and weight [V, D]: "
            f"received {list(hidden.shape)} and {list(weight.shape)}"
        )
    if targets.shape != hidden.shape[:1] or targets.dtype != torch.int64:
        raise ValueError(
            f"targets must be int64 [{len(hidden)}]: received {targets.dtype} {list(targets.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must be [{len(weight)}]: received {list(bias.shape)}")
    for name, tensor in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype not in FLOATS:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
            raise ValueError(f"{name} must be one of {known}: received {tensor.dtype}")


def all_counted(targets: Tensor, vocabulary: int) -> bool:
    """Return whether every target lies in the vocabulary: none is ignored, none wrong."""
    if not len(targets):
        return True
    smallest, largest = torch.stack(torch.aminmax(targets)).tolist()  # a GPU is waited for once
    return bool(smallest >= 0 and largest < vocabulary)


def check_targets(targets: Tensor, vocabulary: int) -> None:
    """Check that all targets, ignored ones apart, lie in the vocabulary.

    Raises:
        ValueError: one does not.
    """
    bad = targets[(targets != IGNORED) & ((targets < 0) | (targets >= vocabulary))]
    if len(bad):
        raise ValueError(
            f"targets must lie in [0, {vocabulary}) or be -100: received {int(bad[0])}"
        )


@dataclass(frozen=True)
class Counted:
    """The n of N tokens that have a target."""

    places: Tensor  # [n] int64, ascending
    tokens: int  # N

    @classmethod
    def of(cls, targets: Tensor, vocabulary: int) -> Counted:
        """Find them.

        Raises:
            ValueError: a target is neither ignored nor in the vocabulary.
        """
        if all_counted(targets, vocabulary):
            places = torch.arange(len(targets), device=targets.device)
        else:
            check_targets(targets, vocabulary)
            places = (targets != IGNORED).nonzero()[:, 0]
        return cls(places, len(targets))

    @classmethod
    def again(cls, places: Tensor, tokens: int, *, padded: bool) -> Counted:
        """Take what `of` has found, perhaps padded."""
        return cls(places[places >= 0] if padded else places, tokens)

    def padded(self) -> Tensor:
        """Return the places filled up with -1 to N, for a compiler: no shape goes by a value."""
        return self.fill(self.places, -1)

    def fill(self, values: Tensor, value: int) -> Tensor:
        """Return values [n, ...] filled up to N rows."""
        filled = values.new_full((self.tokens, *values.shape[1:]), value)
        filled[: len(values)] = values
        return filled

    def pick(self, values: Tensor) -> Tensor:
        """Return the rows [n, ...] that count; the same tensor if all do."""
        return values if len(self.places) == self.tokens else values[self.places]

    def spread(self, values: Tensor) -> Tensor:
        """Return values [n, ...] with zeros for ignored tokens; the same tensor if none is."""
        if len(self.places) == self.tokens:
            return values
        zeros = values.new_zeros(self.tokens, *values.shape[1:])
        return zeros.index_copy_(0, self.places, values)
