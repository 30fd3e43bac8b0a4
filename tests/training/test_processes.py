"""One process or several: who writes, and how a group of them is left."""

from __future__ import annotations

import weakref

from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from clairkit.training.processes import is_first, leave_group, many


class Holder:
    """As a trainer and what it prepared do, holds its model and is held by it."""

    def __init__(self) -> None:
        self.model = DistributedDataParallel(nn.Linear(2, 2))
        self.model.holder = self


def test_without_a_group_one_process_does_all() -> None:
    assert not many()
    assert is_first()
    leave_group()


def test_a_group_is_left_when_no_model_owns_it_any_more() -> None:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    model = weakref.ref(Holder().model)
    assert model() is not None
    assert not many()
    assert is_first()
    leave_group()
    assert model() is None
    assert not distributed.is_initialized()
