"""The house: top-level names, packages, import directions, sizes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from house import COMMON, ROOMS, ROOT, circles, imported, room_of, sources, upward_imports

FOLDERS = {"clairkit", "kernels", "cli", "bench", "tests", "docs"}
FILES = {
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "constraints.txt",
}

MAX_LINES = 400
MAX_FILES = 25
MAX_ROOM_LINES = 7500


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks; the test runs on checkouts, where git is at hand."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_top_level_names() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in top if not name.startswith(".")} == FOLDERS | FILES


def test_nothing_shadows_the_hub_package_kernels() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists()
    code = "import importlib.util as u; s = u.find_spec('kernels'); assert s is None or s.origin, s"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "docs")


def test_every_package_folder_is_listed_for_installing() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = {
        name if path.name == "__init__.py" else name.rpartition(".")[0] for path, name in sources()
    }
    assert listed == found


def import_graph() -> dict[str, frozenset[str]]:
    """Module -> the names that it imports."""
    return {name: imported(path) for path, name in sources()}


def test_every_room_has_a_key_and_imports_rooms_below_it_alone() -> None:
    found = {room_of(name) or name for _, name in sources()} - {"clairkit", "cli", "bench"}
    assert found == set(ROOMS)
    order = list(ROOMS)
    for name, room in ROOMS.items():
        below = set(order[order.index(name) + 1 :])
        assert room.imports <= below, name
        assert not room.imports & COMMON, f"{name}: the common rooms need no key"


def test_no_import_leads_upward() -> None:
    assert not upward_imports(import_graph())


def test_no_circle_of_files() -> None:
    assert not circles(import_graph())


@pytest.mark.parametrize(
    ("module", "name", "is_upward", "is_circle"),
    [
        ("clairkit.kernels.tiles", "clairkit.errors.UsageError", True, False),
        ("clairkit.training.config", "clairkit.training.trainer.PreferenceTrainer", False, True),
        ("clairkit.errors", "clairkit.user_code.refuse_silent_ends", True, True),
        ("clairkit.bench.peers", "clairkit.cli.main.run", True, False),
        ("clairkit.generation.engine", "clairkit.bench.results", True, False),
    ],
)
def test_a_planted_import_is_found(
    module: str, name: str, is_upward: bool, is_circle: bool
) -> None:
    graph = import_graph()
    graph[module] = graph[module] | {name}
    assert bool(upward_imports(graph)) is is_upward
    assert bool(circles(graph)) is is_circle


def test_no_folder_and_no_package_grows_too_large() -> None:
    files = Counter(path.parent for path, _ in sources())
    assert not {folder: count for folder, count in files.items() if count > MAX_FILES}
    lines: Counter[str] = Counter()
    for path, name in sources():
        lines[room_of(name)] += len(path.read_text(encoding="utf-8").splitlines())
    assert not {room: count for room, count in lines.items() if count > MAX_ROOM_LINES}


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in [path for path, _ in sources()] + tracked("tests/*.py", "kernels/csrc/*")
    }
    assert not {str(path) for path, count in lengths.items() if count > MAX_LINES}


def test_tests_mirror_the_source() -> None:
    """tests/X/ belongs to clairkit/X, kernels/ops, cli or bench."""
    homes = {path.name for path in (ROOT / "clairkit").iterdir() if path.is_dir()}
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in tracked("tests/*/*.py")}
    assert folders <= homes | {"kernels", "cli", "bench", "support"}


def test_importing_the_package_is_light() -> None:
    heavy = ("torch", "transformers", "numpy", "datasets", "triton", "click", "rich")
    code = f"import sys, clairkit; assert not [m for m in {heavy} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)


# Each is written in two parts, so that a search for it does not find this line.
_MARKS = [first + second for first, second in (("/wo", "rk/"), ("FIX", "ME"), ("TO", "DO"))]


@pytest.mark.parametrize("pattern", [*_MARKS, "raise NotImplemented" + "Error"])
def test_no_unfinished_marks_or_machine_paths(pattern: str) -> None:
    found = [
        str(path)
        for path in tracked("*.py", "*.c", "*.md", "*.toml", "*.sh", "Makefile", ".ci/*")
        if path != Path(__file__) and pattern in path.read_text(encoding="utf-8")
    ]
    assert not found
