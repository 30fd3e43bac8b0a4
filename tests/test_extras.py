"""What a message says of an extra works from a checkout, too: it names the packages themselves."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from clairkit.extras import install_command, requirements_of

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = metadata.metadata("clairkit").get_all("Provides-Extra") or []


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_every_package_of_an_extra(extra: str) -> None:
    command = install_command(extra)
    assert command.startswith("pip install ")
    assert "clairkit" not in command
    for requirement in requirements_of(extra):
        assert requirement.name in command
        assert str(requirement.specifier) in command


def test_a_command_to_upgrade_and_an_extra_of_packages_with_extras() -> None:
    assert install_command("trl", upgrade=True).startswith("pip install --upgrade 'trl>=")
    assert "'ray[data]>=" in install_command("ray")


def test_an_unknown_extra_is_left_to_pip() -> None:
    assert install_command("nosuch") == "pip install 'clairkit[nosuch]'"


def test_no_message_asks_an_index_for_clairkit() -> None:
    sources = [
        path for folder in ("clairkit", "cli", "bench") for path in (ROOT / folder).rglob("*.py")
    ]
    found = [path.name for path in sources if re.search(r"clairkit\[\w+\]", path.read_text())]
    assert found == ["extras.py"]
