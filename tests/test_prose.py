"""Docstrings: they start with a verb, and name arguments and errors where a caller needs it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from house import sources

MOST_UNNAMED = 3
"""Parameters that a function may have without `Args:`."""

_NO_VERB = re.compile(
    r"(?:(?:What|Where|Whether|How|Which|Who|When|Why|That|The|An?|One|All|Each|Every|No|Its|Their)"
    r"|[A-Z]\w*(?:s|ing)|`.*?`)(?=\W)"
)
_ELSEWHERE = re.compile(r"command|triton\.jit")  # decorators whose functions are documented so
_VERBS_IN_S = frozenset({"Discuss", "Express", "Guess", "Pass", "Process", "Compress", "Address"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module with its name."""
    for path, name in sources():
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def starts_with_verb(docstring: str) -> bool:
    """Whether a docstring's first word can be an imperative."""
    first = _NO_VERB.match(docstring)
    return first is None or first[0] in _VERBS_IN_S


def functions(module: ast.Module) -> Iterator[Function]:
    """Yield the public functions and methods that have a docstring.

    `--help` documents commands; comments do the parameters of a function on a GPU, one by one.
    """
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    for parent in (module, *(each for each in classes if not each.name.startswith("_"))):
        for node in parent.body:
            if (
                isinstance(node, Function)
                and not node.name.startswith("_")
                and ast.get_docstring(node)
                and not _ELSEWHERE.search("\n".join(map(ast.unparse, node.decorator_list)))
            ):
                yield node


def parameters(function: Function) -> list[str]:
    """Return the names of a function's parameters, but for `self` and `cls`."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def raises(node: ast.AST) -> bool:
    """Whether a function raises an error itself, not within a function of its own."""
    return any(
        (isinstance(child, ast.Raise) and child.exc is not None)
        or (not isinstance(child, (*Function.__args__, ast.Lambda)) and raises(child))
        for child in ast.iter_child_nodes(node)
    )


def faults(name: str, module: ast.Module) -> Iterator[str]:
    """Yield what is wrong with the docstrings of a module."""
    if not starts_with_verb(ast.get_docstring(module) or ""):
        yield f"{name}: the docstring starts with no verb"
    for function in functions(module):
        docstring, place = ast.get_docstring(function) or "", f"{name}.{function.name}"
        if len(parameters(function)) > MOST_UNNAMED and "Args:" not in docstring:
            yield f"{place}: no Args"
        if raises(function) and "Raises:" not in docstring:
            yield f"{place}: no Raises"


def test_docstrings() -> None:
    assert not [fault for name, module in modules() for fault in faults(name, module)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""What a pair is."""', ["m: the docstring starts with no verb"]),
        ('"""Reading rows."""', ["m: the docstring starts with no verb"]),
        ('"""Rows of a file."""', ["m: the docstring starts with no verb"]),
        ('"""Process rows."""', []),
        ('"""Read."""\ndef f(a, b, c, *, d):\n    """Do."""', ["m.f: no Args"]),
        ('"""Read."""\ndef f(a):\n    """Do."""\n    raise ValueError', ["m.f: no Raises"]),
        ('"""Read."""\nclass A:\n    def f(self, a, b, c):\n        """Do."""', []),
        ('"""Read."""\ndef f():\n    """Do."""\n    def g():\n        raise ValueError', []),
        ('"""Read."""\n@click.command()\ndef f(a, b, c, d):\n    """Do."""', []),
        ('"""Read."""\n@triton.jit\ndef f(a, b, c, d):\n    """Do."""', []),
    ],
)
def test_a_planted_docstring_is_found(source: str, found: list[str]) -> None:
    assert list(faults("m", ast.parse(source))) == found
