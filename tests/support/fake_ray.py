"""What our engine uses of Ray, in this process: values are pickled as they would be on the way."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


def _sent(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


class LostError(Exception):
    """What Ray raises when it loses a worker."""


class _Handle:
    """An actor: it has its own copies of all values, and gives copies back."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return SimpleNamespace(
            remote=lambda *values: _sent(getattr(self._actor, name)(*_sent(values)))
        )


@dataclass
class _Data:
    items: list[dict[str, Any]]
    ray: FakeRay
    steps: list[Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=list)

    def map(self, worker: Any, *, fn_constructor_args: Any, **options: Any) -> _Data:
        self.ray.maps.append(options)
        job, shared, *rest = fn_constructor_args
        size = options["compute"]
        self.steps = [worker(_sent(job), shared, *_sent(rest)) for _ in range(size)]
        return self

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        for at, item in enumerate(self.items):
            if at == self.ray.dies_at:
                raise LostError("a node died")
            yield _sent(self.steps[at % len(self.steps)](_sent(item)))


class FakeRay:
    """Stands for the module. `resources` are the cluster's; `maps` has how workers were asked,
    `dies_at` the block that is lost.
    """

    def __init__(self, **resources: float) -> None:
        self.resources = resources
        self.maps: list[dict[str, Any]] = []
        self.started = 0
        self.dies_at: int | None = None
        task_error = type("TaskError", (LostError,), {})
        self.exceptions = SimpleNamespace(RayError=LostError, RayTaskError=task_error)
        context = SimpleNamespace(enable_progress_bars=True)
        self.data = SimpleNamespace(
            DataContext=SimpleNamespace(get_current=lambda: context),
            ActorPoolStrategy=lambda size: size,
            from_items=lambda items, override_num_blocks: _Data(items, self),
        )

    def is_initialized(self) -> bool:
        return self.started > 0

    def init(self, **_: Any) -> None:
        self.started += 1

    def shutdown(self) -> None:
        self.started = 0

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        def actor(kind: Any) -> Any:
            return SimpleNamespace(remote=lambda *values: _Handle(kind(*_sent(values))))

        return actor

    @staticmethod
    def get(value: Any) -> Any:
        return value
