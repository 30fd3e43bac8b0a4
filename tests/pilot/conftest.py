"""One small run of the quickstart, and a copy of its folder for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pilot_folders import SMALL, WANTED, ask_for

from clairkit.quickstart.run import run_quickstart
from clairkit.quickstart.stations import QuickstartPlan


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("pilot") / "made"
    run_quickstart(QuickstartPlan(**SMALL), folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in which the gates ask for no more than it has."""
    copy = tmp_path / "pilot"
    shutil.copytree(made, copy)
    ask_for(copy, wanted=WANTED)
    return copy
