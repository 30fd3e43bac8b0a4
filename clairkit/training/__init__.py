"""Train on pairs. `PreferenceTrainer` brings torch and transformers, so it is loaded lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clairkit.training.config import TrainConfig
    from clairkit.training.config_sources import Resolved, resolve
    from clairkit.training.run import run_training
    from clairkit.training.run_directory.folder import TrainResult
    from clairkit.training.trainer import PreferenceTrainer

_HOMES = {
    "PreferenceTrainer": "trainer",
    "Resolved": "config_sources",
    "TrainConfig": "config",
    "TrainResult": "run_directory.folder",
    "resolve": "config_sources",
    "run_training": "run",
}

__all__ = ["PreferenceTrainer", "Resolved", "TrainConfig", "TrainResult", "resolve", "run_training"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
