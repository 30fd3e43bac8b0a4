"""Find and name what transformers refuses of the arguments before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from clairkit.errors import RemoteError, UsageError, suggest

# Packages whose name is not that of their integration.
_PACKAGES = {"azure_ml": "azureml-core", "flyte": "flytekit"}


def checked_arguments(
    build: Callable[[Mapping[str, object]], TrainingArguments], given: Mapping[str, object]
) -> TrainingArguments:
    """Return the arguments when optimizer, schedule and trackers can be made with them.

    Raises:
        UsageError: with the setting at fault, its value and transformers' reason.
    """
    try:
        arguments = build(given)
        _check_optimizer(arguments)
        _check_precision(arguments)
    except Exception as error:  # transformers and what it calls raise classes of many kinds
        raise _refused(build, given, error) from error
    _check_trackers(arguments)
    return arguments


def _check_precision(arguments: TrainingArguments) -> None:
    if arguments.fp16 and arguments.device.type == "cpu":
        raise ValueError("float16 products need a GPU; on a CPU set use_cpu: true and bf16: true")


def _check_optimizer(arguments: TrainingArguments) -> None:
    """Make the optimizer of one weight and its schedule, as the Trainer will of all."""
    try:
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments)
    except ValueError as error:
        if "need to pass a" in str(error):  # the model: those optimizers are known with it alone
            return
        raise
    weight = nn.Parameter(torch.zeros(2, 2))
    optimizer = kind([weight], **settings) if kind.__module__.startswith("torch.") else None
    get_scheduler(
        arguments.lr_scheduler_type,
        optimizer or torch.optim.SGD([weight], lr=arguments.learning_rate),
        num_warmup_steps=1,
        num_training_steps=2,
        scheduler_specific_kwargs=dict(arguments.lr_scheduler_kwargs or {}),
    )


def _refused(
    build: Callable[[Mapping[str, object]], TrainingArguments],
    given: Mapping[str, object],
    error: Exception,
) -> UsageError:
    """Name the settings without which there would be no error."""
    guilty = [key for key in given if _passes(build, {k: v for k, v in given.items() if k != key})]
    lines = (line.strip() for line in (str(error) or type(error).__name__).splitlines())
    reason = " ".join(line for line in lines if line)[:400]
    named = ", ".join(key if key.endswith("token") else f"{key}={given[key]!r}" for key in guilty)
    return UsageError(f"a training argument was refused: {reason}", received=named or None)


def _passes(
    build: Callable[[Mapping[str, object]], TrainingArguments], given: Mapping[str, object]
) -> bool:
    try:
        arguments = build(given)
        _check_optimizer(arguments)
        _check_precision(arguments)
    except Exception:  # of whatever kind: the rest is wrong, too
        return False
    return True


def _check_trackers(arguments: TrainingArguments) -> None:
    """Refuse a tracker that is not known, or whose package is missing."""
    for name in arguments.report_to or []:
        if name not in INTEGRATION_TO_CALLBACK:
            known = sorted(INTEGRATION_TO_CALLBACK)
            raise UsageError(
                "report_to names no tracker",
                received=name,
                remedy=f"{suggest(str(name), known)}Known are none, all, {', '.join(known)}",
            )
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except Exception as error:  # each tracker says in its own way that it is missing
            raise UsageError(
                f"report_to {name} can't be used: {str(error).partition(chr(10))[0]}",
                remedy=f"run pip install {_PACKAGES.get(name, name)}, or set report_to: none",
            ) from error


@contextmanager
def setting_errors() -> Iterator[None]:
    """Turn what transformers and accelerate refuse while the trainer is set up into one error.

    Raises:
        UsageError: with their reason.
    """
    try:
        yield
    except (ValueError, ImportError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:400]
        raise UsageError(
            f"a setting of the trainer was refused: {reason}",
            remedy="see --print-config for what was set",
        ) from error


def check_hub_login(arguments: TrainingArguments) -> None:
    """Refuse `push_to_hub` where nobody is logged in to the Hub, or it can't be reached.

    Raises:
        RemoteError: with the Hub client's reason.
    """
    if not arguments.push_to_hub:
        return
    from huggingface_hub import HfApi

    try:
        HfApi().whoami(token=arguments.hub_token)
    except Exception as error:  # of the Hub's client, of its transport, of the machine
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise RemoteError(
            f"push_to_hub needs a login at the Hub: {reason}",
            remedy="run hf auth login, or leave push_to_hub out and upload the run afterwards",
        ) from error
