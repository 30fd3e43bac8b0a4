"""Say how the packages of an extra are installed: from a checkout as well as from an index."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib import metadata
from typing import Any


def install_command(extra: str, *, upgrade: bool = False) -> str:
    """Return the command that installs what an extra needs, by the names of its packages.

    `pip install 'clairkit[peft]'` would look for clairkit itself in an index, which a checkout is
    not; the packages are the same wherever clairkit came from.
    """
    wanted = []
    for each in requirements_of(extra):
        extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
        wanted.append(f"{each.name}{extras}{each.specifier}")
    flag = "--upgrade " if upgrade else ""
    return f"pip install {flag}{' '.join(map(shlex.quote, wanted or [f'clairkit[{extra}]']))}"


def requirements_of(extra: str) -> list[Any]:
    """Return the requirements of an extra that are none of clairkit's own."""
    return [
        requirement
        for requirement in requirements()
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    ]


def requirements() -> Iterator[Any]:
    """Yield all requirements of clairkit, as its installation states them."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("clairkit") or []
    except metadata.PackageNotFoundError:  # the source folder on the path, nothing installed
        lines = []
    yield from map(Requirement, lines)
