"""Run bare matrix products: the least that a head and its gradients cost. Imports torch alone.

Nothing but `torch.mm` and `torch.addmm` in the dtype of the inputs, into a tile that is there
already and gradients that are fresh memory, as every variant has to leave them. What stands for the
gradient of the logits is the tile of logits itself. Since all logits at once would fill gigabytes,
the products are made in tiles, of whichever size is the fastest here.

Shapes: N tokens, D hidden size, V vocabulary; tiles of T tokens by C vocabulary entries.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.bench.kernels.problem import Problem
from clairkit.bench.measure.timing import synchronize

_PROBE = 16384  # vocabulary entries on which tile sizes are tried
_TRIES = 2
_WHOLE_BYTES = {"cpu": 5 << 28, "cuda": 8 << 30}  # no larger a buffer is tried


@dataclass(frozen=True)
class Tiling:
    tokens: int
    vocabulary: int

    def __str__(self) -> str:
        return f"{self.tokens}x{self.vocabulary}"


class Products:
    """The products of one step: 4 N*V*D (frozen head), or 8 or 6 (trained).

    4 is z = h W' and G += z W. 8 makes z twice, then dH += z W and dW += z' h; 6 makes z once.
    """

    def __init__(self, problem: Problem, count: int, tiling: Tiling, columns: int = 0) -> None:
        self.hidden = problem.hidden.detach()[problem.response]
        self.weight = problem.weight.detach()[: columns or len(problem.weight)]
        self.count, self.tiling = count, tiling
        self.tile = self.hidden.new_empty(tiling.tokens * tiling.vocabulary)

    def run(self) -> tuple[Tensor, Tensor | None]:
        """Make all of them; return what stands for dH and dW."""
        d_hidden = torch.empty_like(self.hidden)
        d_weight = torch.empty_like(self.weight) if self.count > 4 else None
        if self.count == 8:
            for rows, columns in self._tiles():
                self._product(rows, columns)
        for rows, columns in self._tiles():
            z = self._product(rows, columns)
            _add(d_hidden[rows], z, self.weight[columns], columns.start == 0)
            if d_weight is not None:
                _add(d_weight[columns], z.T, self.hidden[rows], rows.start == 0)
        return d_hidden, d_weight

    def _tiles(self) -> list[tuple[slice, slice]]:
        rows = _cut(len(self.hidden), self.tiling.tokens)
        columns = _cut(len(self.weight), self.tiling.vocabulary)
        if self.count == 4:
            return [(row, column) for row in rows for column in columns]
        return [(row, column) for column in columns for row in rows]

    def _product(self, rows: slice, columns: slice) -> Tensor:
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        out = self.tile[: shape[0] * shape[1]].view(shape)
        return torch.mm(self.hidden[rows], self.weight[columns].T, out=out)


def _add(total: Tensor, left: Tensor, right: Tensor, first: bool) -> None:
    if first:
        torch.mm(left, right, out=total)
    else:
        torch.addmm(total, left, right, out=total)


def _cut(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def tilings(tokens: int, vocabulary: int, item_bytes: int, device: str) -> list[Tiling]:
    if device == "cuda":
        sizes = [(tokens, 8192), (tokens, 32768), (4096, 16384)]
    else:
        sizes = [
            (1024, 2048),
            (1024, 4096),
            (tokens, 2048),
            (tokens, max(256, (1 << 21) // tokens)),
        ]
    if tokens * vocabulary * item_bytes <= _WHOLE_BYTES[device]:
        sizes.append((tokens, vocabulary))
    cut = [Tiling(min(rows, tokens), min(columns, vocabulary)) for rows, columns in sizes]
    return list(dict.fromkeys(cut))


def fastest(problem: Problem, count: int) -> Products:
    """Return the products in the tiles that are fastest on a part of the vocabulary."""
    device = problem.hidden.device
    sizes = tilings(
        len(problem.response), len(problem.weight), problem.hidden.element_size(), device.type
    )
    columns = min(_PROBE, len(problem.weight))
    seconds = {size: _probe(problem, count, size, columns) for size in sizes}
    return Products(problem, count, min(seconds, key=lambda size: seconds[size]))


def _probe(problem: Problem, count: int, size: Tiling, columns: int) -> float:
    cut = Tiling(size.tokens, min(size.vocabulary, columns))
    trial = Products(problem, count, cut, columns)
    found = []
    for _ in range(_TRIES):
        synchronize(trial.hidden.device)
        start = time.perf_counter()
        trial.run()
        synchronize(trial.hidden.device)
        found.append(time.perf_counter() - start)
    return min(found)
