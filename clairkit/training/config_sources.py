"""Merge the sources of a configuration: flags, `--set`, a YAML file, defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.batching.chat_settings import run_chat_settings
from clairkit.display import printable
from clairkit.errors import UsageError
from clairkit.records.json_types import JsonObject
from clairkit.training.arguments.ranges import fits, type_name
from clairkit.training.config import TrainConfig, own_types


@dataclass(frozen=True)
class Resolved:
    """A configuration and the origin of each value: flag, --set, file or default."""

    config: TrainConfig
    origins: Mapping[str, str]
    loss_choice: JsonObject | None = None
    """What loss auto rests on; None where the loss was named."""


def resolve(
    flags: Mapping[str, object], settings: Sequence[str] = (), file: str | None = None
) -> Resolved:
    """Merge the sources of a configuration: flags > `--set` > YAML file > defaults.

    A model that is a run directory brings its own settings of chat templates as defaults.

    Args:
        flags: values given on the command line; None means not given.
        settings: `key=value` texts, values in YAML.
        file: path of a YAML file.

    Raises:
        UsageError: an unknown key, a value of the wrong type, a file that is no mapping.
    """
    values: JsonObject = {}
    origins = dict.fromkeys(own_types(), "default")
    given = {key: value for key, value in flags.items() if value is not None}
    layers = (
        (printable(file or "", keep=""), _read_yaml(file) if file else {}),
        ("--set", _parse_settings(settings)),
        ("flag", given),
    )
    for origin, layer in layers:
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    own = {key: _checked(key, values.pop(key)) for key in list(values) if key in own_types()}
    for key in ("model", "pairs", "output"):
        if not own.get(key):
            raise UsageError(f"no {key} given", remedy=f"pass --{key} or set it in the file")
    for key, value in run_chat_settings(own["model"]).given().items():
        if origins[key] == "default" and own.get(key) != value:
            own[key], origins[key] = value, "the model's run"
    config = TrainConfig(**own, arguments=values)
    origins |= {key: origin for key, (_, origin) in config.derived.items()}
    whole = dataclasses.replace(config, arguments={**config.default_arguments, **values})
    return Resolved(whole, origins)


def _read_yaml(file: str) -> dict[str, object]:
    from clairkit.records.formats.yaml_file import YamlProblem, read_yaml

    try:
        content = read_yaml(Path(file))
    except (OSError, ValueError) as error:
        if isinstance(error, YamlProblem):
            raise UsageError(f"{file} is no YAML configuration: {error}") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"can't read the configuration: {reason}", received=file) from error
    if not isinstance(content, dict):
        raise UsageError(
            f"{file} must hold keys and values",
            received="nothing" if content is None else type(content).__name__,
            remedy="write lines such as `learning_rate: 1e-5`",
        )
    return {str(key): meant(str(key), value) for key, value in content.items()}


def _parse_settings(settings: Sequence[str]) -> dict[str, object]:
    from clairkit.records.formats.yaml_file import YamlProblem, load_yaml

    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError("--set takes key=value", received=setting)
        try:
            values[key.strip()] = meant(key.strip(), load_yaml(text))
        except YamlProblem as error:
            raise UsageError(f"the value is no YAML: {error}", received=setting) from error
    return values


def meant(key: str, value: object) -> object:
    """What people mean where YAML 1.1 reads 1e-5 as a text and `no` as false."""
    if key.endswith("_strategy") and value is False:
        return "no"
    if isinstance(value, str):
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _checked(key: str, value: Any) -> Any:
    """Return the value in the key's type, or say what the type is."""
    hint = own_types()[key]
    if fits(value, hint):
        return tuple(value) if isinstance(value, list) else value
    raise UsageError(f"{key} must be {type_name(hint)}", received=value)
