"""Where TRL's DPOTrainer takes its log-probs from, and how another head is put there.

TRL's trainer gives its models a second way through their forward. `add_fused_lm_head(model,
outputs=...)` sets it up, once a model, inside of `DPOTrainer.__init__`: after the models are made,
before they are wrapped for a device and before reference log-probs are computed. From then on
`model(..., labels=labels, fused_lm_head=True)` returns a `FusedCausalLMOutput` of per-token
values, and all losses, references and metrics are made from it. So this one call is replaced and
nothing else.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from trl.trainer import dpo_trainer

from clairkit.errors import ResourceError
from clairkit.integrations.trl.installed import TRL_VERSION

_NAME = "add_fused_lm_head"
_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def head_set_up_by(add_head: Callable[..., None]) -> Iterator[None]:
    """Within this context TRL's trainer calls `add_head` where it would set up its own head.

    Raises:
        ResourceError: the installed TRL has no such call, or leaves the context without making it.
    """
    calls = 0

    def add_and_count(*args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        add_head(*args, **options)

    with _one_at_a_time:
        original = getattr(dpo_trainer, _NAME, None)
        if original is None:
            raise _unknown_trl()
        setattr(dpo_trainer, _NAME, add_and_count)
        try:
            yield
        finally:
            setattr(dpo_trainer, _NAME, original)
    if not calls:
        raise _unknown_trl()


def _unknown_trl() -> ResourceError:
    return ResourceError(
        "this version of TRL sets up its head in another way than clairkit knows",
        received=TRL_VERSION,
        remedy="upgrade clairkit, or install the TRL that its constraints.txt names",
    )
