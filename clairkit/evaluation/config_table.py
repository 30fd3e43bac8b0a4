"""Read one mapping of a configuration file key by key, and name the key in every error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clairkit.errors import DataError, suggest
from clairkit.records.formats.yaml_file import YamlProblem, read_yaml
from clairkit.statistics.number_cells import Cell, read_number


class ConfigTable:
    """A mapping of a YAML file, read key by key.

    Args:
        values: what the file holds there.
        path: of the file.
        place: of the mapping in it, such as `kpis[2]`; "" for the whole file.

    Raises:
        DataError: it is no mapping.
    """

    def __init__(self, values: object, path: str, place: str = "") -> None:
        self.path = path
        self._place = place
        self._read: list[str] = []
        if not isinstance(values, Mapping):
            raise self.error("is no mapping of keys to values", received=values)
        self._values: Mapping[Any, Any] = values

    def __contains__(self, key: str) -> bool:
        """Whether the key stands there with a value."""
        return self._values.get(key) is not None

    def error(
        self, problem: str, key: str = "", *, received: object = None, remedy: str | None = None
    ) -> DataError:
        """Return an error that names the place of a key.

        Args:
            problem: what is wrong.
            key: of the table; "" for all of it.
            received: the value.
            remedy: what to do.
        """
        where = ".".join(part for part in (self._place, key) if part)
        if received is not None and not isinstance(received, int | float):
            received = str(received)
        return DataError(
            f"{where or 'the file'}: {problem}", path=self.path, received=received, remedy=remedy
        )

    def get(self, key: str) -> Any:
        """Return the value of a key as YAML has it; None where it is missing."""
        self._read.append(key)
        return self._values.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; a number that stands for a name counts as one.

        Raises:
            DataError: it is missing without a default, blank, or no text.
        """
        value = self.get(key)
        if value is None and default is not None:
            return default
        text = str(value).strip() if isinstance(value, str | int) else ""
        if not text or isinstance(value, bool):
            raise self.error("a text is needed", key, received=value)
        return text

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        unit: str = "",
        least: float = 0.0,
        above: bool = False,
    ) -> float:
        """Return a number, also as people write one ("1,234", "4 %").

        Args:
            key: of the value.
            default: where it is missing; None says that it is needed.
            unit: that may stand beside it.
            least: the lowest that is valid.
            above: whether it must lie above `least`.

        Raises:
            DataError: it is missing without a default, no number, or below `least`.
        """
        value = self.get(key)
        cell = Cell(self.path, 0, key)
        try:
            number = read_number(value, unit, cell)
        except DataError as error:
            raise self.error(
                "this is no number", key, received=value, remedy=error.remedy
            ) from None
        if number is None:
            if default is None:
                raise self.error("a number is needed", key)
            return default
        if number < least or (above and number == least):
            bound = f"above {least:g}" if above else f"{least:g} or more"
            raise self.error(f"the number must be {bound}", key, received=value)
        return number

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of the choices.

        Raises:
            DataError: it is another value.
        """
        value = self.text(key, default)
        if value not in choices:
            hint = suggest(value, choices)
            remedy = f"{hint}Write {' or '.join(choices)}"
            raise self.error("no such value", key, received=value, remedy=remedy)
        return value

    def table(self, key: str) -> ConfigTable:
        """Return the mapping under a key; an empty one where it is missing."""
        value = self.get(key)
        place = ".".join(part for part in (self._place, key) if part)
        return ConfigTable({} if value is None else value, self.path, place)

    def tables(self, key: str) -> list[ConfigTable]:
        """Return the mappings of the list under a key; none where it is missing.

        Raises:
            DataError: it is no list of mappings.
        """
        values = self.get(key)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self.error("a list is needed", key, received=values, remedy="begin items with -")
        place = ".".join(part for part in (self._place, key) if part)
        return [
            ConfigTable(value, self.path, f"{place}[{at}]") for at, value in enumerate(values, 1)
        ]

    def refuse_others(self) -> None:
        """Refuse the keys that nobody has read.

        Raises:
            DataError: there is one.
        """
        for key in self._values:
            if key not in self._read:
                remedy = f"{suggest(str(key), self._read)}Known are {', '.join(self._read)}"
                raise self.error("unknown key", received=key, remedy=remedy)


def read_config_table(path: Path) -> ConfigTable:
    """Return the mapping that a YAML file holds.

    Raises:
        DataError: it can't be read, is no YAML, or holds no mapping.
    """
    try:
        return ConfigTable(read_yaml(path), str(path))
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", path=path) from None
    except YamlProblem as problem:
        raise DataError(f"is no YAML ({problem})", path=path) from None
