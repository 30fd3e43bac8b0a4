"""Read the texts of a language from the YAML files that ship inside a package.

A folder holds one file a language, `en.yaml`, `ja.yaml`, …: a new language is a new file. English
is the measure: every other file must have its keys, and in each text the same names in braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from clairkit.errors import DataError, UsageError

if TYPE_CHECKING:
    import yaml

BASE = "en"
"""The language that has every text."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def languages(folder: str) -> tuple[str, ...]:
    """Return the codes of the languages in a folder, English first."""
    found = (each.name for each in resources.files("clairkit").joinpath(folder).iterdir())
    codes = {name.removesuffix(".yaml") for name in found if name.endswith(".yaml")}
    return (BASE, *sorted(codes - {BASE}))


@cache
def texts(folder: str, code: str = BASE, partial: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return a language's texts: mappings by name, texts, and lists of either. Don't change them.

    Whatever stands in the file is text: `no` and `1` are no boolean and no number.

    Args:
        folder: below the package `clairkit`, such as "report/texts".
        code: of the language: the file's name without `.yaml`.
        partial: a tuple of top-level sections whose keys may differ, as those that translate what
            code says in English; what they lack is taken from `en.yaml`.

    Raises:
        UsageError: there is no such language.
        DataError: the file is no YAML, or its keys or placeholders differ from those of English.
    """
    if code not in languages(folder):
        remedy = f"give one of {', '.join(languages(folder))}"
        raise UsageError("there is no such language", received=code, remedy=remedy)
    found = _read(folder, code)
    if code == BASE:
        return {**found, **{name: found.get(name) or {} for name in partial}}
    base = dict(texts(folder))
    open_ended = {
        name: {**(base.pop(name, "") or {}), **(found.pop(name, "") or {})} for name in partial
    }
    path = f"{folder}/{code}.yaml"
    if problem := next(differences(base, found), None):
        raise DataError(problem, path=path, remedy=f"compare it with {BASE}.yaml")
    return {**found, **open_ended}


def differences(base: Any, other: Any, name: str = "") -> Iterator[str]:
    """Yield how the texts of a language differ in shape from the base's: one sentence each."""
    if isinstance(base, Mapping) and isinstance(other, Mapping):
        for key in sorted(base.keys() ^ other.keys()):
            where = "is missing" if key in base else "is unknown"
            yield f"the key {f'{name}.{key}'.lstrip('.')} {where}"
        for key in sorted(base.keys() & other.keys()):
            yield from differences(base[key], other[key], f"{name}.{key}".lstrip("."))
    elif isinstance(base, Mapping) or isinstance(other, Mapping):
        yield f"{name} holds keys in one language, but not in the other"
    elif type(base) is not type(other):
        yield f"{name} is a list in one language, a text in the other"
    elif placeholders(base) != placeholders(other):
        names = ", ".join(sorted(placeholders(base) ^ placeholders(other)))
        yield f"{name} has other placeholders: {names}"


def placeholders(text: Any) -> set[str]:
    """Return the names in braces in a text, or in all texts of a list or mapping."""
    if isinstance(text, str):
        return set(_PLACEHOLDER.findall(text))
    each = text.values() if isinstance(text, Mapping) else text
    return set().union(*map(placeholders, each))


def _read(folder: str, code: str) -> dict[str, Any]:
    import yaml  # here: commands list languages in their help, and most read none

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = f"{folder}/{code}.yaml"
    content = resources.files("clairkit").joinpath(path).read_text("utf-8")
    try:
        found = _value(yaml.compose(content, loader), path)
    except yaml.YAMLError as error:
        raise DataError(f"the file is no YAML: {error}", path=path) from None
    if not isinstance(found, dict):
        raise DataError("the file must hold keys and texts", path=path)
    return found


def _value(node: yaml.Node | None, path: str) -> Any:
    import yaml

    if isinstance(node, yaml.MappingNode):
        names = [str(key.value) for key, _ in node.value]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            line = node.start_mark.line + 1
            raise DataError("a key is there twice", path=path, line=line, received=repeated)
        return {str(key.value): _value(value, path) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, path) for each in node.value]
    return "" if node is None else node.value
