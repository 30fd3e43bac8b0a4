"""Tell whether a named model or data set is available, before any library retries for a minute."""

from __future__ import annotations

import functools
import os
import re
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

from clairkit.errors import RemoteError, UsageError, suggest

_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "adapter_config.json")
_SECONDS = 1.5  # for one answer of the Hub, of any kind


def check_model_there(name: str) -> None:
    """Return when a model's folder is here, its files are in the cache, or the Hub answers.

    The local path is looked at first. Where the Hub does not answer and the cache has the model,
    the libraries are told not to ask the Hub, which they would do five times for each file.

    Raises:
        UsageError: a path that is not there, no name of a model, or the Hub may not be asked.
        RemoteError: the Hub does not answer, and the cache has no such model.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return
    if path.is_file():
        raise UsageError(
            "the model is a file", received=name, remedy=f"give its folder, as {path.parent}"
        )
    is_path = name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name
    if is_path or not _ID.fullmatch(name):
        raise UsageError("there is no such folder", received=name, remedy=_similar(path))
    if _asks_nobody():
        if not _is_cached(name):
            problem = f"the model {name} is neither a folder here nor in the cache of the Hub"
            raise UsageError(problem, remedy="give its folder, or unset HF_HUB_OFFLINE")
        return
    check_hub_answers(f"the model {name}", cached=_is_cached(name))


def check_hub_answers(what: str, *, cached: bool = False) -> None:
    """Return when the Hub answers, or the cache has what is asked for.

    Raises:
        RemoteError: it does not answer within two seconds.
    """
    if _asks_nobody() or _hub_answers():
        return
    if not cached:
        problem = (
            f"{what} is neither here nor in the cache, and the Hugging Face Hub does not answer"
        )
        raise RemoteError(problem, remedy="check the name, or the network; or give a local path")
    _ask_nobody()


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return "give a folder in transformers format, or a Hub id as ORG/NAME"
    hint = suggest(path.name, names, shown=lambda near: str(path.parent / near)).rstrip()
    return hint or "give a folder in transformers format, or a Hub id as ORG/NAME"


def _asks_nobody() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _ask_nobody() -> None:
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are still to be imported


def _is_cached(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(name, file), str) for file in _FILES)


@functools.cache
def _hub_answers() -> bool:
    """Ask once, in a thread: the look-up of a name has no time limit of its own."""
    answers: SimpleQueue[bool] = SimpleQueue()

    def ask() -> None:
        from huggingface_hub import constants, get_session

        try:
            get_session().head(constants.ENDPOINT, timeout=_SECONDS)
        except Exception:  # of either HTTP library that huggingface_hub uses
            answers.put(False)
        else:
            answers.put(True)

    threading.Thread(target=ask, name="clairkit-hub", daemon=True).start()
    try:
        return answers.get(timeout=_SECONDS + 0.3)
    except Empty:
        return False
