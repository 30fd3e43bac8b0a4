"""Reason codes: each one that a source gives has a meaning, and each with a meaning is given."""

from __future__ import annotations

import ast
from pathlib import Path

import clairkit
from clairkit.generation.gates import GATES
from clairkit.models.reasons import HALTED, REASONS, reason

SOURCES = sorted(Path(clairkit.__file__).parent.rglob("*.py"))


def given_codes(source: Path) -> set[str]:
    """The codes of the failures that a source makes: texts, or constants of the module."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    constants = _constants(tree)
    codes: set[str] = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id == "Failure" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                codes.add(first.value)
            elif isinstance(first, ast.Name) and first.id in constants:
                codes.add(constants[first.id])
    return codes


def _constants(tree: ast.Module) -> dict[str, str]:
    """The texts that the module's top level gives names to, one or several in a line."""
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, text in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(text, ast.Constant):
                found[name.id] = text.value
    return found


def test_every_code_that_is_given_has_a_meaning_and_the_other_way_round() -> None:
    given = set().union(*map(given_codes, SOURCES)) | set(GATES)
    assert given - {HALTED} == set(REASONS)


def test_a_code_of_a_later_version_counts_as_a_failure() -> None:
    assert reason("of_tomorrow").failed
    assert not reason("of_tomorrow").again
