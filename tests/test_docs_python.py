"""docs/python.md: its examples run, in an empty folder, and no public name is missing from it."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
from house import ROOT

PAGE = ROOT / "docs" / "python.md"
PACKAGES = (
    "evaluation",
    "generation",
    "kernels",
    "labels",
    "losses",
    "records",
    "report",
    "scoring",
    "training",
)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def examples(text: str) -> str:
    """Return a page with all but its Python examples blanked, so that line numbers stay."""
    lines = []
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            line = ""
        lines.append(line if inside else "")
    return "\n".join(lines)


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    text = examples(PAGE.read_text(encoding="utf-8"))
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    ran = doctest.DocTestRunner(optionflags=_FLAGS).run(page, out=said.append)
    assert ran.attempted > 100
    assert not ran.failed, "".join(said)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_on_the_page(package: str) -> None:
    module = importlib.import_module(f"clairkit.{package}")
    section = re.split(
        r"^## ", PAGE.read_text(encoding="utf-8").split(f"\n## {package.title()}\n")[1], flags=re.M
    )[0]
    names: list[str] = module.__all__
    assert not [name for name in names if not re.search(rf"\b{name}\b", section)]
    assert not [name for name in names if not hasattr(module, name)]
