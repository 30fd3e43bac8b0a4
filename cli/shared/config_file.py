"""Read options of a command from a YAML file; what stands on the command line wins."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.shared.options import SectionOption

if TYPE_CHECKING:
    from clairkit.records.json_types import JsonObject


def read_config(sections: Collection[str]) -> Any:
    """Return the callback of `--config FILE`, for the options that stand in these sections."""

    def callback(context: click.Context, _: click.Parameter, file: str | None) -> str | None:
        if file is not None:
            known = {
                option.name: option
                for option in context.command.params
                if isinstance(option, SectionOption) and option.section in sections
            }
            context.default_map = _defaults(file, known)
        return file

    return callback


def _defaults(file: str, known: dict[str, SectionOption]) -> JsonObject:
    """The file's values by the names of the options' parameters.

    Raises:
        DataError: the file is not a YAML mapping.
        UsageError: a key is not an option, or is there twice under two spellings.
    """
    from clairkit.errors import UsageError, suggest

    by_flag = {flag.lstrip("-"): name for name, option in known.items() for flag in option.opts}
    found: JsonObject = {}
    for key, value in _mapping(file).items():
        name = by_flag.get(str(key).replace("_", "-"))
        if name is None:
            hint = suggest(str(key).replace("_", "-"), by_flag)
            raise UsageError(
                f"{file} has an unknown key",
                received=str(key),
                remedy=f"{hint}Known are {', '.join(sorted(by_flag))}",
            )
        if name in found:
            raise UsageError(
                f"{file} sets one option twice", received=str(key), remedy="keep one spelling"
            )
        found[name] = _repeated(value, known[name]) if known[name].multiple else value
    return found


def _repeated(value: object, option: SectionOption) -> list[Any]:
    """The texts of an option that may be given several times; JSON is what spells a mapping."""
    if isinstance(value, dict) and option.metavar == "FIELD=JSON":
        return [f"{field}={json.dumps(given)}" for field, given in value.items()]
    given = value if isinstance(value, list) else [value]
    return [json.dumps(each) if isinstance(each, dict) else each for each in given]


def _mapping(file: str) -> dict[Any, Any]:
    from clairkit.errors import DataError
    from clairkit.records.formats.yaml_file import YamlProblem, json_values, read_yaml

    try:
        found = json_values(read_yaml(Path(file)))
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", path=file) from None
    except YamlProblem as problem:
        raise DataError(f"is not YAML ({problem})", path=file) from None
    if not isinstance(found, dict):
        raise DataError(
            "is not a YAML mapping of options",
            path=file,
            remedy="write lines such as `reviser: openai:gpt-4o`",
        )
    return found
