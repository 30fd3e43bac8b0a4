"""List the points of the kernel suite, as data. Imports nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from clairkit.bench.step.cases import Dtype, HeadMode

_SHORT = {"float32": "fp32", "bfloat16": "bf16"}
ITEM_BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class KernelCase:
    """A preference loss over response tokens: N tokens in sequences of equal length.

    Pairs stand as [chosen of all pairs, rejected of all pairs]. Without a prompt every variant is
    given the compacted tokens; with one, each does with ignored tokens what it does in use.
    """

    vocabulary: int  # V
    hidden: int  # D
    tokens: int  # N, response tokens of all sequences
    dtype: Dtype = "float32"
    head: HeadMode = "frozen"
    sequences: int = 2
    beta: float = 0.1  # of apo_zero
    seed: int = 0
    label: str = ""  # instead of the vocabulary's, in the name
    prompt: int = 0  # ignored tokens before each sequence

    @property
    def name(self) -> str:
        """The case's name, as `--case` takes it."""
        label = self.label or f"v{_thousands(self.vocabulary)}"
        before = f"-prompt{self.prompt}" if self.prompt else ""
        return f"{label}-{self.head}-{_SHORT[self.dtype]}-{self.tokens}{before}"

    @property
    def length(self) -> int:
        """Tokens of each sequence."""
        return self.tokens // self.sequences

    @property
    def positions(self) -> int:
        """Tokens of all sequences, the ignored ones too."""
        return self.tokens + self.sequences * self.prompt

    @property
    def logit_bytes(self) -> int:
        """Bytes of all response tokens' logits in the case's dtype."""
        return self.tokens * self.vocabulary * ITEM_BYTES[self.dtype]

    @property
    def products(self) -> tuple[int, ...]:
        """Matrix products to measure against, in N*V*D operations."""
        return (4,) if self.head == "frozen" else (8, 6)

    @property
    def input_bytes(self) -> int:
        return (self.positions + self.vocabulary) * self.hidden * ITEM_BYTES[self.dtype]

    @property
    def gradient_bytes(self) -> int:
        """Bytes of the gradients that every variant has to leave behind."""
        rows = self.positions + (self.vocabulary if self.head == "full" else 0)
        return rows * self.hidden * ITEM_BYTES[self.dtype]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self), "gradient_bytes": self.gradient_bytes}

    def describe(self) -> str:
        return (
            f"V={self.vocabulary} D={self.hidden}, {self.dtype}, {self.head} head; {self.tokens} "
            f"response tokens in {self.sequences} sequences"
            + (f", each after {self.prompt} ignored ones" if self.prompt else "")
        )


def _thousands(count: int) -> str:
    return f"{count // 1024 if count % 1024 == 0 else round(count / 1000)}k"


def _grid(
    shapes: Iterable[tuple[int, int]],
    tokens: Sequence[int],
    dtypes: Iterable[Dtype],
    heads: Iterable[HeadMode],
    label: str = "",
) -> list[KernelCase]:
    """Return a case of every combination, fewest tokens first."""
    return [
        KernelCase(
            vocabulary,
            hidden,
            count,
            dtype,
            head,
            2 if count <= 2048 else 4,
            label=label.format(v=_thousands(vocabulary), d=hidden),
        )
        for vocabulary, hidden in shapes
        for count in tokens
        for dtype in dtypes
        for head in heads
    ]


_BOTH: tuple[Dtype, ...] = ("float32", "bfloat16")
_HEADS: tuple[HeadMode, ...] = ("frozen", "full")
# As a training step has them: before each response a prompt as long, which has no loss.
PROMPTED = tuple(
    KernelCase(151936, 896, 2048, dtype, head, 2, prompt=1024) for dtype in _BOTH for head in _HEADS
)
# One pair with a response of 12,288 tokens on each side, as long reasoning traces have them.
LONG = KernelCase(128256, 1024, 24576, "bfloat16", "frozen", 2)

CPU: tuple[KernelCase, ...] = (
    *_grid([(151936, 896)], (2048,), _BOTH, _HEADS),
    *PROMPTED,
    *_grid([(32768, 896)], (256, 1024, 2048, 4096), _BOTH, _HEADS),
    *_grid([(151936, 896)], (256, 1024, 4096), _BOTH, _HEADS),
    LONG,
)

# By what matters: a small model and a large one as they are trained, long responses, the rest.
_GPU_SHAPES = ((151936, 896), (128256, 4096), (49152, 576))
_GPU_ORDER = [
    (2048, _GPU_SHAPES[0]),
    (8192, _GPU_SHAPES[1]),
    (24576, _GPU_SHAPES[1]),
    (2048, _GPU_SHAPES[2]),
    (8192, _GPU_SHAPES[0]),
    (2048, _GPU_SHAPES[1]),
    (24576, _GPU_SHAPES[0]),
    (8192, _GPU_SHAPES[2]),
    (24576, _GPU_SHAPES[2]),
]
GPU: tuple[KernelCase, ...] = tuple(
    case
    for count, shape in _GPU_ORDER
    for case in _grid([shape], (count,), ("bfloat16",), _HEADS, "v{v}-d{d}")
)

# No multiple of a tile, so that it checks, too.
QUICK: tuple[KernelCase, ...] = tuple(
    _grid([(2003, 72)], (62, 130, 254), _BOTH, _HEADS, label="quick")
)

KNOWN = tuple({case.name: case for case in (*QUICK, *CPU, *GPU)}.values())


def select(patterns: Sequence[str], default: Sequence[KernelCase]) -> list[KernelCase]:
    """Return the cases whose name is, or matches, one of `patterns`; without any, the default.

    Raises:
        ValueError: a pattern matches nothing.
    """
    if not patterns:
        return list(default)
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in KNOWN):
            names = ", ".join(case.name for case in KNOWN)
            raise ValueError(f"no such case: received {pattern!r}; there are {names}")
    return [case for case in KNOWN if any(fnmatchcase(case.name, one) for one in patterns)]
