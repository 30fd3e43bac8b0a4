"""What the tests of references share."""

from __future__ import annotations

from pathlib import Path

import pytest
from references import make_settings

from clairkit.training.reference.models import ReferenceSettings


@pytest.fixture
def settings(tmp_path: Path) -> ReferenceSettings:
    """Settings whose cache is the test's own."""
    return make_settings(tmp_path / "cache")
