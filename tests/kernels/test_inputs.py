"""What tensors the public calls take: plain ones are read right, all others refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.kernels import fused_preference, gather_logps, linear_logps, linear_token_stats

BACKENDS = ("torch", "native", "triton", "eager")


class Wrapper(Tensor):
    """A tensor without memory, which answers operations itself, as DTensor does."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapper:
        made: Wrapper = Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        return made

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError("it was used")


class Named(Tensor):
    """A plain tensor of a class of its own."""


def freed(tensor: Tensor) -> Tensor:
    copy = tensor.clone()
    copy.untyped_storage().resize_(0)
    return copy


UNFIT: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "meta": (lambda t: t.to("meta"), "meta device"),
    "sparse": (lambda t: t.to_sparse(), "to_dense"),
    "nested": (lambda t: torch.nested.nested_tensor([t, t]), "nested"),
    "wrapper": (Wrapper, "a Wrapper"),
    "freed": (freed, "freed"),
}


def inputs() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        "hidden": torch.randn(4, 8),
        "weight": torch.randn(11, 8),
        "targets": torch.tensor([1, 2, 3, 4]),
        "bias": torch.randn(11),
    }


@pytest.mark.parametrize("call", [linear_logps, linear_token_stats])
@pytest.mark.parametrize("name", ["hidden", "weight", "targets", "bias"])
@pytest.mark.parametrize("kind", list(UNFIT))
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_tensor_without_plain_memory_is_refused(
    call: Callable[..., Any], name: str, kind: str
) -> None:
    make, message = UNFIT[kind]
    given = inputs()
    given[name] = make(given[name])
    for backend in BACKENDS:
        if kind == "freed" and backend == "eager":
            continue  # torch's own operations refuse it
        with pytest.raises(ValueError, match=f"{name} .*{message}"):
            call(**given, backend=backend)


def test_a_quantised_weight_is_refused() -> None:
    given = inputs()
    given["weight"] = torch.quantize_per_tensor(given["weight"], 0.1, 0, torch.qint8)
    with pytest.raises(ValueError, match=r"weight .*dequantize"):
        linear_logps(**given)


def test_a_distributed_weight_is_refused() -> None:
    distributed = pytest.importorskip("torch.distributed.tensor")
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        for name in ("hidden", "weight", "bias"):
            given = inputs()
            given[name] = distributed.distribute_tensor(given[name], mesh)
            with pytest.raises(ValueError, match=rf"{name} .*DTensor.*full_tensor"):
                linear_logps(**given)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["hidden", "weight", "bias"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_numbers_of_another_kind_are_refused(name: str, dtype: torch.dtype) -> None:
    given = inputs()
    given[name] = given[name].to(dtype)
    with pytest.raises(ValueError, match=f"{name} must be one of float16"):
        linear_logps(**given)


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"targets must be a torch\.Tensor: received list"):
        linear_logps(torch.randn(2, 8), torch.randn(11, 8), [1, 2])  # type: ignore[arg-type]


def test_the_other_calls_refuse_them_too() -> None:
    logits, targets = torch.randn(4, 11), torch.tensor([1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"logits .*meta"):
        gather_logps(logits.to("meta"), targets)
    with pytest.raises(ValueError, match=r"targets .*meta"):
        gather_logps(logits, targets.to("meta"))
    logps, offsets = torch.randn(8), torch.tensor([0, 4, 8])
    for change in ({"token_logps": logps.to("meta")}, {"reference": torch.zeros(2, device="meta")}):
        given = {"token_logps": logps, "offsets": offsets, "reference": torch.zeros(2), **change}
        with pytest.raises(ValueError, match="meta"):
            fused_preference(**given, loss="apo_zero", beta=0.1)


def forms(tensor: Tensor) -> dict[str, Tensor]:
    """Return the same values in other places in memory."""
    spaced = torch.full((*tensor.shape[:-1], 2 * tensor.shape[-1]), 1, dtype=tensor.dtype)
    spaced[..., ::2] = tensor
    found = {
        "spaced": spaced[..., ::2],
        "late": torch.cat([tensor[:1], tensor])[1:],
        "subclass": tensor.as_subclass(Named),
        "negated": torch._neg_view(-tensor),
    }
    if tensor.ndim == 2:
        found["transposed"] = tensor.T.contiguous().T
    if tensor.is_floating_point():
        found["parameter"] = torch.nn.Parameter(tensor.clone())
    return found


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [
        (backend, dtype)
        for backend in BACKENDS
        for dtype in (torch.float32, torch.bfloat16)
        if (backend, dtype) != ("triton", torch.float32)  # whose products torch makes
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["hidden", "weight", "targets", "bias"])
def test_values_count_wherever_they_stand(backend: str, dtype: torch.dtype, name: str) -> None:
    plain = {k: t.to(dtype) if t.is_floating_point() else t for k, t in inputs().items()}
    close = {"rtol": 1e-5, "atol": 1e-5}

    def run(given: dict[str, Tensor], trained: bool) -> tuple[Tensor, Tensor]:
        leaf = torch.zeros(11, 8, dtype=dtype, requires_grad=True)
        given = {**given, "hidden": given["hidden"] + 0 * leaf.sum()} if not trained else given
        weight = given["weight"] + leaf if trained and name != "weight" else given["weight"]
        if trained and name == "weight":
            weight = given["weight"].detach().requires_grad_()
            leaf = weight
        logps = linear_logps(**{**given, "weight": weight}, backend=backend)
        gradient = torch.autograd.grad(logps.sum(), leaf)[0]
        return logps.detach().as_subclass(Tensor), gradient.as_subclass(Tensor)

    for trained in (False, True):
        right = run(plain, trained)
        for form, tensor in forms(plain[name]).items():
            found = run({**plain, name: tensor}, trained)
            for ours, expected in zip(found, right, strict=True):
                torch.testing.assert_close(
                    ours, expected, **close, msg=lambda m, f=form: f"{f}: {m}"
                )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_expanded_tensors_are_read_as_what_they_stand_for(backend: str, dtype: torch.dtype) -> None:
    given = {k: t.to(dtype) if t.is_floating_point() else t for k, t in inputs().items()}
    given["hidden"] = given["hidden"][:1].expand(4, 8)
    given["bias"] = given["bias"][:1].expand(11)
    given["targets"] = given["targets"][:1].expand(4)
    copies = {name: tensor.contiguous() for name, tensor in given.items()}
    found, right = (linear_logps(**tensors, backend=backend) for tensors in (given, copies))
    torch.testing.assert_close(found, right)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sizes_of_zero_are_sizes(backend: str) -> None:
    empty = linear_logps(
        torch.randn(0, 8), torch.randn(11, 8), torch.zeros(0, dtype=torch.int64), backend=backend
    )
    assert empty.shape == (0,)
    flat = linear_logps(torch.randn(3, 0), torch.randn(11, 0), torch.arange(3), backend=backend)
    torch.testing.assert_close(flat, torch.full((3,), -torch.tensor(11.0).log()))
    with pytest.raises(ValueError, match="targets must lie in"):
        linear_logps(torch.randn(3, 8), torch.randn(0, 8), torch.arange(3), backend=backend)


def test_bfloat16_rows_of_a_transposed_weight_are_mended_as_others_are() -> None:
    """The sum over 512 tokens is within 0.02 nats of float64 for any layout."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(512, 256).bfloat16(), (torch.randn(4096, 256) / 5).bfloat16()
    logits = hidden.float() @ weight.float().T
    targets = torch.distributions.Categorical(logits=logits).sample()
    exact = linear_logps(hidden.double(), weight.double(), targets, backend="eager")
    for backend in ("native", "torch"):
        ours = linear_logps(hidden, weight.T.contiguous().T, targets, backend=backend)
        assert abs(float(ours.double().sum() - exact.sum())) <= 0.02


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("trained", [False, True])
def test_a_nan_of_any_bits_stays_one(backend: str, dtype: torch.dtype, trained: bool) -> None:
    bits = torch.tensor([0x7FFFFFFF, -1, 0x7FC00000, 0x7F800001], dtype=torch.int64).to(torch.int32)
    given = inputs()
    hidden = given["hidden"].to(dtype).requires_grad_()
    weight = given["weight"].to(dtype).requires_grad_(trained)
    logps = linear_logps(hidden, weight, given["targets"], backend=backend)
    logps.backward(bits.view(torch.float32))
    assert hidden.grad is not None
    assert bool(hidden.grad.isnan().all())
