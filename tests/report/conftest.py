"""Pairs of every sort, pages of them, and one browser for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM, DRIVER, Browser, browsing
from pair_rows import Rows, write

from clairkit.report import gather, language, make_page


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a page of rows, and returns where it is."""

    def make(rows: Rows, code: str = "en", name: str = "pairs") -> Path:
        gathered = gather([write(tmp_path / f"{name}.jsonl", rows)])
        path = tmp_path / f"{name}.html"
        page = make_page(gathered, language(code), max_pairs=10_000)
        path.write_text(page.html, encoding="utf-8")
        return path

    return make


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium; tests that need it are skipped where there is none."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with chromedriver on this machine")
    with browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found
