"""Shared set-up. The tests see the installed package, never the source folders."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# `kernels/` on sys.path would pass for the Hub package that transformers looks for.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may wait for a network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tiny models gain nothing from threads, and lose much when another process takes a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a shell starts in the background ignores Ctrl-C, and so does what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

import torch  # noqa: E402 - after the number of threads has been set

# Reference caches of the tests go away with them.
_CACHE = tempfile.TemporaryDirectory(prefix="clairkit-cache-")
os.environ["CLAIRKIT_CACHE"] = _CACHE.name

# Triton reads this when it is imported, which transformers does.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest  # noqa: E402 - after sys.path has been set
from tiny import make_llama, make_tokenizer  # noqa: E402


def pytest_collection() -> None:
    """Collect no garbage while modules are imported: they leave hardly any, and hold much."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_sessionfinish() -> None:
    """Let what was frozen end in order: native modules count what is left of theirs."""
    gc.unfreeze()


_imported = 0  # modules, at the last freeze


@pytest.fixture(autouse=True)
def _freeze_imports() -> None:
    """Keep modules, and the thousands of test items, out of each further garbage collection."""
    global _imported
    if len(sys.modules) != _imported:
        _imported = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-xdist sets it in its workers; lines then wrap, as for one who asks for it."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture
def llama() -> Any:
    return make_llama()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny model with its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    make_llama().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder
