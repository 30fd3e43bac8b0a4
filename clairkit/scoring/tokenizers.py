"""Load the tokenizer whose tokens are counted."""

from __future__ import annotations

from clairkit.display import excerpt
from clairkit.errors import UsageError
from clairkit.hub_access import check_model_there
from clairkit.scoring.units import Tokenizer


def load_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a folder or Hub id (`hf:` before it is accepted); runs no code of it.

    Raises:
        UsageError: there is none, or transformers cannot load it.
    """
    check_model_there(name.removeprefix("hf:"))
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(name.removeprefix("hf:"))
        return tokenizer
    except Exception as error:  # many kinds, by file format and version
        raise UsageError(
            f"the tokenizer cannot be loaded ({excerpt(str(error), 160)})",
            received=name,
            remedy="give a folder with tokenizer.json, or the Hub id of a model",
        ) from None
