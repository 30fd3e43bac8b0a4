from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import write_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what sweeps are made of; not to be written to."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder
