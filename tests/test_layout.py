"""The house: top-level names, packages, import directions, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"clairkit", "kernels", "cli", "bench", "tests", "docs"}
FILES = {
    "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile",
    "constraints.txt",
}  # fmt: skip

# Source folder -> import name, as pyproject.toml maps them.
HOMES = {"clairkit": "clairkit", "kernels/ops": "clairkit.kernels", "cli": "clairkit.cli",
         "bench": "clairkit.bench"}  # fmt: skip

# A module may import its own package and those named here. cli and bench stand above all.
_BASE = {"errors", "display", "records"}
ALLOWED = {
    "": set(),  # clairkit/__init__.py
    "errors": set(),
    "redaction": set(),
    "display": {"redaction"},
    "intervals": {"errors"},
    "user_code": {"errors", "display"},
    "hub_access": {"errors"},
    "extras": set(),
    "records": {"errors", "display", "hub_access"},
    "kernels": set(),
    "losses": {"errors"},
    "batching": {*_BASE, "scoring"},
    "charts": {"display"},
    "scoring": {*_BASE, "hub_access"},
    "generation": {
        *_BASE, "batching", "extras", "hub_access", "intervals", "redaction", "scoring",
        "user_code",
    },
    "training": {
        *_BASE, "batching", "charts", "extras", "hub_access", "kernels", "losses", "scoring",
    },
    "evaluation": {*_BASE, "batching", "generation", "intervals", "scoring", "user_code"},
    "report": {*_BASE, "scoring", "charts", "generation", "training"},
    "labels": {*_BASE, "evaluation", "intervals", "report"},
    "integrations": {"errors", "extras", "batching", "losses", "kernels", "training"},
    "doctor": {"errors", "display", "extras", "kernels"},
    "planning": {*_BASE, "batching", "losses", "kernels", "training"},
    "quickstart": {*_BASE, "batching", "generation", "scoring", "losses", "training", "evaluation"},
}  # fmt: skip
MAX_LINES = 400


def sources() -> Iterator[tuple[Path, str]]:
    """Every source file with its import name."""
    for folder, package in HOMES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            yield path, name


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks; the test runs on checkouts, where git is at hand."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def imported(path: Path) -> set[str]:
    """Every clairkit module that a file names in an import, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            # `from clairkit import records` names a package by its alias
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "clairkit"}


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


def test_import_directions() -> None:
    wrong = []
    for path, name in sources():
        own = name.split(".")[1] if "." in name else ""
        for target in imported(path):
            parts = target.split(".")
            package = (
                parts[1] if len(parts) > 1 and parts[1] in ALLOWED | {"cli": 0, "bench": 0} else ""
            )
            if package in ("", own) or own in ("cli", "bench"):
                continue
            if package not in ALLOWED[own]:
                wrong.append(f"{path.relative_to(ROOT)} imports {target}")
    assert not wrong


def test_only_the_command_line_imports_the_command_line() -> None:
    for path, name in sources():
        own = name.split(".")[1] if "." in name else ""
        for target in imported(path):
            package = [*target.split("."), ""][1]
            assert not (package == "cli" and own != "cli"), path
            assert not (package == "bench" and own not in ("bench", "cli")), path


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
