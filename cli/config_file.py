"""Options of a command out of a YAML file; what stands on the command line wins."""

from __future__ import annotations

import json
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from clairkit.cli.sections import SectionOption

_SIZE_CAP = 2**20


def read_config(sections: Collection[str]) -> Any:
    """Return the callback of `--config FILE`, for the options that stand in these sections."""

    def callback(context: click.Context, _: click.Parameter, file: str | None) -> str | None:
        if file is not None:
            known = {
                option.name: option for option in context.command.params
                if isinstance(option, SectionOption) and option.section in sections
            }  # fmt: skip
            context.default_map = _defaults(file, known)
        return file

    return callback


def _defaults(file: str, known: dict[str, SectionOption]) -> dict[str, Any]:
    """The file's values by the names of the options' parameters.

    Raises:
        DataError: the file is no YAML mapping.
        UsageError: a key is no option, or is there twice under two spellings.
    """
    from clairkit.errors import UsageError

    by_flag = {flag.lstrip("-"): name for name, option in known.items() for flag in option.opts}
    found: dict[str, Any] = {}
    for key, value in _mapping(file).items():
        name = by_flag.get(str(key).replace("_", "-"))
        if name is None:
            close = get_close_matches(str(key).replace("_", "-"), by_flag, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"{file} has an unknown key", received=str(key),
                             remedy=f"{hint}Known are {', '.join(sorted(by_flag))}")  # fmt: skip
        if name in found:
            raise UsageError(f"{file} sets one option twice", received=str(key),
                             remedy="keep one spelling")  # fmt: skip
        if isinstance(value, dict) and known[name].metavar == "FIELD=JSON":
            value = [f"{field}={json.dumps(given)}" for field, given in value.items()]
        found[name] = [value] if known[name].multiple and not isinstance(value, list) else value
    return found


def _mapping(file: str) -> dict[Any, Any]:
    import yaml

    from clairkit.errors import DataError
    from clairkit.records.encodings import decoded

    try:
        with Path(file).open("rb") as opened:
            text = decoded(file, opened.read(_SIZE_CAP + 1))
        found = yaml.safe_load(text) if len(text) <= _SIZE_CAP else None
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", path=file) from None
    except (yaml.YAMLError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"is no YAML ({first})", path=file) from None
    if not isinstance(found, dict):
        raise DataError("is no YAML mapping of options", path=file,
                        remedy="write lines such as `reviser: openai:gpt-4o`")  # fmt: skip
    return found
