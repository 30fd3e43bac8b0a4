"""`gather_logps` over logits that exist: against float64, and what its overwriting does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.kernels import gather
from clairkit.kernels.gather import gather_logps
from clairkit.kernels.triton import configs
from clairkit.kernels.triton.configs import RowLaunch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# of gradients, whose last step is a rounding (the interpreter cuts bfloat16 off)
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
BACKENDS = ("triton", "torch")
SHAPES = ((1, 1), (1, 7), (7, 519), (3, 129))


@pytest.fixture(autouse=True)
def small_and_poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several blocks a row and chunks a tensor; memory that torch hands out is full of NaN."""
    torch.manual_seed(3)
    monkeypatch.setattr(configs, "GATHER", RowLaunch(1, 128, num_warps=4))
    monkeypatch.setattr(gather, "_CHUNK", 5 * 519)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def problem(
    *shape: int, dtype: torch.dtype = torch.float32, peak: float = 3.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, which no leaf is, targets and coefficients."""
    logits = (peak * torch.randn(*shape)).to(dtype).to(DEVICE).requires_grad_()
    targets = torch.randint(shape[-1], shape[:-1], device=DEVICE)
    targets.view(-1)[1::4] = -100
    return logits * 1, targets, torch.randn(shape[:-1], device=DEVICE)


def exact(logits: Tensor, targets: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probs and the gradient of the logits, in float64."""
    wide = logits.detach().double().requires_grad_()
    logps = torch.log_softmax(wide, -1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    logps = torch.where(targets == -100, 0.0, logps)
    (gradient,) = torch.autograd.grad((logps * coefficients.double()).sum(), wide)
    return logps.detach(), gradient


def near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance / 100)


@pytest.mark.parametrize("peak", [1.0, 20.0])
@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_log_probs_and_gradients_equal_those_of_float64(
    backend: str, dtype: torch.dtype, inplace: bool, peak: float
) -> None:
    for shape in SHAPES:
        logits, targets, coefficients = problem(*shape, dtype=dtype, peak=peak)
        before = logits.detach().clone()
        expected, expected_gradient = exact(before, targets, coefficients)
        logps = gather_logps(logits, targets, inplace=inplace, backend=backend)
        assert logps.dtype == torch.float32
        near(logps.detach(), expected, 2e-6)
        assert torch.equal(logits, before)
        (gradient,) = torch.autograd.grad((logps * coefficients).sum(), logits)
        assert gradient.dtype == dtype
        near(gradient, expected_gradient, TOLERANCE[dtype])
        assert (gradient.data_ptr() == logits.data_ptr()) == inplace
        assert not gradient[targets == -100].any()
        if not inplace:
            assert torch.equal(logits, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slice_of_a_batch_is_overwritten_where_it_stands(backend: str) -> None:
    """A model's logits [B, L, V] without their last position: rows with two strides."""
    whole, targets, coefficients = problem(3, 6, 301)
    targets, coefficients = targets[:, 1:], coefficients[:, 1:]
    before = whole.detach().clone()
    logits = whole[:, :-1]
    expected, expected_gradient = exact(logits, targets, coefficients)
    logps = gather_logps(logits, targets, backend=backend)
    near(logps.detach(), expected, 2e-6)
    (gradient,) = torch.autograd.grad((logps * coefficients).sum(), whole)
    near(gradient[:, :-1], expected_gradient, 2e-6)
    near(whole.detach()[:, :-1], expected_gradient, 2e-6)
    assert torch.equal(whole.detach()[:, -1], before[:, -1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gradient_reaches_what_made_the_logits(backend: str) -> None:
    hidden, weight = torch.randn(30, 16).to(DEVICE), torch.randn(301, 16).to(DEVICE)
    leaves = [hidden.requires_grad_(), weight.requires_grad_()]
    targets = torch.randint(301, (30,), device=DEVICE)
    gather_logps(hidden @ weight.T, targets, backend=backend).sum().backward()
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    logps = torch.log_softmax(wide[0] @ wide[1].T, -1).gather(1, targets[:, None])
    for leaf, expected in zip(leaves, torch.autograd.grad(logps.sum(), wide), strict=True):
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_log_prob_is_above_zero(backend: str, dtype: torch.dtype) -> None:
    logits, _, _ = problem(12, 301, dtype=dtype, peak=60.0)
    for targets in (logits.argmax(-1), logits.argmin(-1)):
        logps = gather_logps(logits, targets, backend=backend).detach()
        assert (logps <= 0).all()
        others = logits.detach().double().scatter(1, targets[:, None], -torch.inf)
        own = logits.detach().double().gather(1, targets[:, None])[:, 0]
        sums = (others - own[:, None]).exp().sum(1)
        # a GPU's exp(x) is off by the rounding of x / ln 2: 60 * 2^-23
        relative = 1e-5 if DEVICE == "cuda" else 2e-6
        torch.testing.assert_close(logps.double(), -sums.log1p(), rtol=relative, atol=1e-30)


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinities_and_nan_are_those_of_log_softmax(backend: str) -> None:
    logits = torch.randn(6, 301, device=DEVICE)
    logits[0, 200:] = -torch.inf  # a padded vocabulary
    logits[1, :200] = -torch.inf  # a whole block of them first
    logits[2, 250] = -torch.inf  # the target's own
    logits[3, 7] = torch.nan
    logits[4, :] = -torch.inf
    targets = torch.tensor([5, 250, 250, 250, 250, 250], device=DEVICE)
    logps = gather_logps(logits, targets, backend=backend)
    expected = torch.log_softmax(logits.double(), -1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(logps.double(), expected, rtol=2e-6, atol=1e-8, equal_nan=True)
    assert logps.isnan().tolist() == [False, False, False, True, True, False]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_operation_that_still_needs_the_logits_raises(backend: str) -> None:
    logits, targets, _ = problem(5, 33)
    square = (logits**2).sum()  # made first, so its backward comes last
    loss = gather_logps(logits, targets, backend=backend).sum() + square
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_that_were_changed_before_backward_are_noticed(backend: str) -> None:
    logits, targets, _ = problem(5, 33)
    logps = gather_logps(logits, targets, backend=backend)
    logits.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logps.sum().backward()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_backward_raises_unless_the_logits_were_kept(backend: str) -> None:
    logits, targets, _ = problem(5, 33)
    loss = gather_logps(logits, targets, backend=backend).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"second backward.*inplace=False"):
        loss.backward()
    logits, targets, _ = problem(5, 33)
    loss = gather_logps(logits, targets, inplace=False, backend=backend).sum()
    first, second = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_input_gives_the_same_bits(backend: str) -> None:
    outcomes = []
    for _ in range(2):
        torch.manual_seed(8)
        logits, targets, coefficients = problem(9, 301, dtype=torch.bfloat16)
        logps = gather_logps(logits, targets, backend=backend)
        outcomes.append((logps, *torch.autograd.grad((logps * coefficients).sum(), logits)))
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_rows_and_ignored_rows_alone(backend: str) -> None:
    empty = gather_logps(
        torch.zeros(0, 33, device=DEVICE),
        torch.zeros(0, dtype=torch.int64, device=DEVICE),
        backend=backend,
    )
    assert empty.shape == (0,)
    logits, targets, _ = problem(5, 33)
    logps = gather_logps(logits, torch.full_like(targets, -100), backend=backend)
    assert not logps.any()
    (gradient,) = torch.autograd.grad(logps.sum(), logits)
    assert not gradient.any()


def test_float64_keeps_its_digits_in_torch_and_is_refused_by_triton() -> None:
    logits, targets, coefficients = problem(9, 301, dtype=torch.float64)
    expected, expected_gradient = exact(logits, targets, coefficients)
    with pytest.raises(RuntimeError, match="no float64"):
        gather_logps(logits, targets, backend="triton")
    logps = gather_logps(logits, targets)
    near(logps.detach(), expected, 1e-12)
    (gradient,) = torch.autograd.grad((logps * coefficients.double()).sum(), logits)
    near(gradient, expected_gradient, 1e-12)


def test_auto_takes_triton_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("_triton_sums", "_torch_sums"):
        run = getattr(gather, name)
        monkeypatch.setattr(
            gather, name, lambda *given, run=run, name=name: taken.append(name) or run(*given)
        )
    logits, targets, _ = problem(5, 33)
    gather_logps(logits, targets)
    assert taken == ["_triton_sums" if DEVICE == "cuda" else "_torch_sums"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(7)}, r"logits must be floats \[..., V\]"),
        ({"logits": torch.zeros(5, 7, dtype=torch.int64)}, "logits must be floats"),
        ({"targets": torch.zeros(4, dtype=torch.int64)}, r"targets must be int64 \[5\]"),
        ({"targets": torch.zeros(5)}, "targets must be int64"),
        ({"targets": torch.tensor([0, 1, 7, 0, 0])}, r"lie in \[0, 7\) or be -100: received 7"),
        ({"targets": torch.tensor([0, 1, -1, 0, 0])}, "received -1"),
        ({"logits": torch.zeros(7, 5).T}, "contiguous"),
        ({"backend": "cuda"}, "unknown backend 'cuda': known are auto, triton, torch"),
        ({"logits": torch.zeros(5, 7, requires_grad=True)}, "leaf.*inplace=False"),
        ({"logits": torch.zeros(1, 7, requires_grad=True).expand(5, 7)}, "expanded"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "logits": torch.zeros(5, 7),
        "targets": torch.zeros(5, dtype=torch.int64),
    }
    with pytest.raises(ValueError, match=message):
        gather_logps(**(given | change))
