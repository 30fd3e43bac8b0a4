"""Tell the processes of one run apart: whether there are several, which one writes; part them."""

from __future__ import annotations

import gc

from torch import distributed


def many() -> bool:
    """Whether this process is one of several."""
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def is_first() -> bool:
    """Whether this process is the one that writes, or the only one."""
    return not many() or distributed.get_rank() == 0


def leave_group() -> None:
    """Leave the group of processes, if there is one, when nothing is left to do in it.

    Call it where no name holds the trainer any more. A DistributedDataParallel model owns the
    group too, and where it is the last owner, torch holds the interpreter's lock while it waits
    for a thread of gloo to end, which may be waiting for that lock. A process that ends without
    leaving its group risks the same at the interpreter's exit (pytorch/pytorch#56297, #190489).
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()  # the trainer and its model hold one another
        distributed.destroy_process_group()
