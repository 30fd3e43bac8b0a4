"""The same short run by TRL's trainer and by ours, on tiny models from a folder."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch
import transformers
from datasets import Dataset
from tiny import make_llama, make_tokenizer

SIZES = {
    "vocab_size": 521,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# What stands beside SIZES; the head of each does something else to its logits.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Gemma2Config": {"final_logit_softcapping": 3.0, "sliding_window": 8},
    "CohereConfig": {"logit_scale": 0.25},
    "MixtralConfig": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "router_aux_loss_coef": 0.1,
    },
}


def make_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Return pairs of random words, so that no two sides are of one length or content."""
    words = random.Random(seed)

    def message(role: str, least: int) -> list[dict[str, str]]:
        text = " ".join(
            words.choices(
                ("the", "quick", "brown", "fox", "assistant", "user"), k=words.randint(least, 8)
            )
        )
        return [{"role": role, "content": text}]

    return [
        {
            "prompt": message("user", 2),
            "chosen": message("assistant", 1),
            "rejected": message("assistant", 1),
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the folder of a model: "llama", "wide", or the name of its configuration class."""
    folders: dict[str, str] = {}
    # "wide": a batch's logits take more than the 8 MB of a tile
    llamas = {"llama": 521, "wide": 60013}

    def make(name: str) -> Any:
        if name in llamas:
            return make_llama(llamas[name])
        torch.manual_seed(0)
        config = getattr(transformers, name)(**{**SIZES, **ARCHITECTURES[name]})
        return transformers.AutoModelForCausalLM.from_config(config)

    def folder_of(name: str) -> str:
        if name not in folders:
            folder = tmp_path_factory.mktemp(name)
            model = make(name)
            with torch.no_grad():  # as it was made, its logits hardly differ from each other
                model.get_output_embeddings().weight.mul_(20.0)
            model.save_pretrained(folder)
            make_tokenizer().save_pretrained(folder)
            folders[name] = str(folder)
        return folders[name]

    return folder_of


@pytest.fixture
def make_trainer(saved: Callable[[str], str], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that makes a trainer of the class: eleven pairs, five steps."""
    trl = pytest.importorskip("trl", reason="the [trl] extra is not installed")

    def make(
        cls: type, model: Any = "llama", named: dict[str, Any] | None = None, **config: Any
    ) -> Any:
        settings = {
            "output_dir": str(tmp_path / cls.__name__),
            "max_steps": 5,
            "logging_steps": 1,
            # Adam would make whole steps of the rounding of gradients that are all but 0
            "optim": "sgd",
            "learning_rate": 3e-2,
            "lr_scheduler_type": "constant",
            "per_device_train_batch_size": 3,
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "save_strategy": "no",
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            **config,
        }
        if isinstance(model, str):
            model = saved(model)
        elif isinstance(model, FunctionType):  # a model of its own for each trainer
            model = model()
        return cls(
            model,
            args=trl.DPOConfig(**settings),
            train_dataset=Dataset.from_list(make_rows(11, seed=0)),
            eval_dataset=Dataset.from_list(make_rows(5, seed=1)),
            **{"processing_class": make_tokenizer(), **(named or {})},
        )

    return make


@contextmanager
def quiet() -> Iterator[None]:
    """Let TRL's and transformers' notices of what they will drop pass; they aren't ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@pytest.fixture
def both(make_trainer: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Return a function that makes both trainers, trains and returns them: (TRL's, ours)."""

    def run(*arguments: Any, **config: Any) -> tuple[Any, Any]:
        from trl import DPOTrainer

        from clairkit.integrations.trl import ClairDPOTrainer

        trainers = []
        with quiet():
            for cls in (DPOTrainer, ClairDPOTrainer):
                trainer = make_trainer(cls, *arguments, **config)
                trainer.train()
                trainers.append(trainer)
        return trainers[0], trainers[1]

    return run
