"""Read YAML as people write it in configurations: one document, plain values, of bounded size."""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

# A configuration has some dozen keys; what is larger was given by mistake.
_MOST_BYTES = 2**20
# Values once every alias stands for what it names: a few lines can name more than a memory holds.
_MOST_VALUES = 10_000
_DEEPEST = 50


class YamlProblem(ValueError):
    """What is wrong with a YAML text, with its line where it has one; without the file's name."""


def load_yaml(text: str) -> Any:
    """Return what a YAML text holds: mappings, lists, texts, numbers, booleans, dates.

    Raises:
        YamlProblem: it is not YAML, too large, too deep, or names a key twice.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, ())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = (error.problem or error.context or "it can't be read").partition("\n")[0]
        raise YamlProblem(_at(mark, _plainly(reason))) from None
    except yaml.YAMLError as error:  # a character that YAML does not have
        raise YamlProblem(_plainly(str(error).partition("\n")[0])) from None
    except RecursionError:
        raise YamlProblem(f"it is nested more than {_DEEPEST} deep") from None
    except YamlProblem:
        raise
    except ValueError as error:  # 2024-99-99, 5,000 digits, …
        raise YamlProblem(_plainly(str(error))) from None


def json_values(value: object) -> Any:
    """Return a value of YAML as JSON has it: dates, which templates and servers take as texts."""
    if isinstance(value, dict):
        return {name: json_values(each) for name, each in value.items()}
    if isinstance(value, list):
        return [json_values(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value  # a datetime is one, too


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        YamlProblem: see `load_yaml`; or it is not UTF-8.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise YamlProblem(f"it holds more than {_MOST_BYTES:,} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise YamlProblem(f"line {line}: it is not UTF-8; save it as UTF-8") from None
    return load_yaml(text)


def packaged(path: str) -> Any:
    """Return what a YAML file holds that ships with the package, by its path below `clairkit`."""
    return load_yaml(resources.files("clairkit").joinpath(path).read_text("utf-8"))


def _check(node: yaml.Node, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """Return how many values a node stands for, each alias counted as what it names."""
    if id(node) in above:
        raise YamlProblem(_at(node.start_mark, "a value holds itself"))
    if len(above) > _DEEPEST:
        raise YamlProblem(_at(node.start_mark, f"it is nested more than {_DEEPEST} deep"))
    if id(node) in sizes:
        return sizes[id(node)]
    inside = (*above, id(node))
    total = 1
    if isinstance(node, yaml.MappingNode):
        _refuse_repeated_keys(node)
    children = [] if isinstance(node, yaml.ScalarNode) else node.value
    for child in children:
        for part in child if isinstance(child, tuple) else (child,):
            total += _check(part, sizes, inside)
        if total > _MOST_VALUES:
            raise YamlProblem(
                _at(node.start_mark, f"it holds more than {_MOST_VALUES:,} values (aliases count)")
            )
    sizes[id(node)] = total
    return total


def _refuse_repeated_keys(node: yaml.MappingNode) -> None:
    seen: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlProblem(_at(key.start_mark, "a key must be a plain text"))
        name = (key.tag, key.value)
        if name in seen and key.value != "<<":
            first = seen[name].start_mark.line + 1
            raise YamlProblem(
                _at(key.start_mark, f"the key {key.value!r} is there twice, first in line {first}")
            )
        seen[name] = key


def _at(mark: yaml.Mark | None, reason: str) -> str:
    return reason if mark is None else f"line {mark.line + 1}: {reason}"


# What the parser says in its own words, and what a user should do about it.
_PLAINLY = {
    "found character '\\t'": "a tab can't indent; use spaces",
    "could not determine a constructor for the tag": "tags such as !name are not read",
    "but found another document": "it holds more than one document",
    "found undefined alias": "an alias names nothing",
}


def _plainly(reason: str) -> str:
    return next((words for part, words in _PLAINLY.items() if part in reason), reason)
