"""List the rooms of the source, top to bottom, and what each may import.

The layout test and the picture of the architecture are made from it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

HOMES = {
    "clairkit": "clairkit",
    "kernels/ops": "clairkit.kernels",
    "cli": "clairkit.cli",
    "bench": "clairkit.bench",
}
"""Source folder -> import name, as pyproject.toml maps them."""

COMMON = frozenset(
    {
        "choices",
        "errors",
        "redaction",
        "display",
        "extras",
        "hub_access",
        "markup",
        "texts",
        "user_code",
    }
)
"""Rooms of one file that any room above them may import."""


@dataclass(frozen=True)
class Room:
    """A package of `clairkit`, or a module that stands alone.

    Args:
        does: what it does, in a few words.
        imports: the rooms below it that it imports, beside the common ones.
    """

    does: str
    imports: frozenset[str] = frozenset()


def _room(does: str, imports: str = "") -> Room:
    return Room(does, frozenset(imports.split()))


# Top to bottom: a room imports rooms below it only. `cli` and `bench` stand above all.
ROOMS: Mapping[str, Room] = {
    "quickstart": _room(
        "the whole road on a model that ships inside",
        "engine evaluation generation journal models pilot records scoring training",
    ),
    "pilot": _room(
        "seven gates from prompts to a decision, and the memo",
        "evaluation intervals journal records runs statistics",
    ),
    "sweep": _room(
        "which data, which loss, which strength: trials and a choice",
        "evaluation journal planning records scoring statistics training",
    ),
    "evaluation": _room(
        "is the new model better: answers, checks, agreement",
        "batching engine generation intervals journal judging labels logprobs models records "
        "scoring statistics training",
    ),
    "labels": _room("ask people, blind, and read their votes", "intervals records statistics"),
    "probe": _room(
        "is the reviser healthy",
        "engine generation intervals journal judging models records scoring",
    ),
    "audit": _room("explain, verify, remove, merge", "engine journal models records scoring"),
    "report": _room(
        "pages of pairs and runs, and of an evaluation",
        "charts intervals journal models records runs scoring statistics",
    ),
    "planning": _room("does a training run fit", "batching kernels logprobs records training"),
    "integrations": _room("TRL's trainer with our head", "kernels logprobs"),
    "generation": _room(
        "how a row becomes a pair", "engine journal judging models records scoring"
    ),
    "judging": _room("a judge and its verdicts", "engine journal models records"),
    "training": _room(
        "pairs to a trained model",
        "batching kernels logprobs losses records runs scoring statistics",
    ),
    "engine": _room("run programs of model calls", "journal models records"),
    "journal": _room("keep every result, and what was made of it", "models records"),
    "logprobs": _room("hidden states to log-probs", "batching kernels"),
    "models": _room("ask a model: local, server, function", "batching records"),
    "batching": _room("tokens and batches", "records scoring"),
    "runs": _room("curves and diagnosis of a run", "charts losses"),
    "scoring": _room("what differs between two sides", "records"),
    "charts": _room("draw SVG"),
    "losses": _room("preference losses"),
    "records": _room("read and write rows"),
    "statistics": _room("estimates and intervals", "intervals"),
    "doctor": _room("what this machine offers", "kernels"),
    "kernels": _room("head and loss without logits"),
    "intervals": _room("intervals of a share"),
    "user_code": _room("call a user's code"),
    "hub_access": _room("whether the Hub may be asked"),
    "markup": _room("pages from templates, foreign texts escaped"),
    "texts": _room("the texts of a language, from data files"),
    "extras": _room("optional dependencies"),
    "choices": _room("names that options take"),
    "display": _room("show foreign text safely"),
    "redaction": _room("hide secrets"),
    "errors": _room("errors and exit codes"),
}


@cache
def sources() -> Sequence[tuple[Path, str]]:
    """Return every source file with its import name."""
    return list(_sources())


def _sources() -> Iterator[tuple[Path, str]]:
    for folder, package in HOMES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield path, ".".join((package, *parts)).removesuffix(".__init__")


@cache
def imported(path: Path) -> frozenset[str]:
    """Return every clairkit module that a file names in an import, at any depth.

    `from clairkit import records` names a package by its alias.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] == "clairkit")


def room_of(name: str) -> str:
    """Return the room of a module, or "" for `clairkit` itself and its attributes."""
    room = [*name.split("."), ""][1]
    return room if room in ROOMS or room in ("cli", "bench") else ""


def upward_imports(graph: Mapping[str, Set[str]]) -> list[str]:
    """Return the imports that no room's key allows, as `module imports name`.

    Args:
        graph: module -> the names that it imports.
    """
    order = list(ROOMS)
    wrong = []
    for module, names in sorted(graph.items()):
        own = room_of(module)
        for name in sorted(names):
            room = room_of(name)
            if room in ("", own) or own == "cli" or (own == "bench" and room != "cli"):
                continue
            allowed = own in ROOMS and (
                room in ROOMS[own].imports
                or (room in COMMON and own != "kernels" and order.index(room) > order.index(own))
            )
            if not allowed:
                wrong.append(f"{module} imports {name}")
    return wrong


def circles(graph: Mapping[str, Set[str]]) -> list[list[str]]:
    """Return the circles of modules that import each other, each as the way round.

    Args:
        graph: module -> the names that it imports: modules, or what stands in them.
    """
    edges = {
        module: {_module(name, graph) for name in names} - {module, ""}
        for module, names in graph.items()
    }
    done: set[str] = set()
    found = []
    for start in edges:
        way: list[str] = []
        waiting = [(start, iter(sorted(edges[start])))]
        if start in done:
            continue
        way.append(start)
        while waiting:
            following = next(waiting[-1][1], None)
            if following is None:
                waiting.pop()
                done.add(way.pop())
            elif following in way:
                found.append([*way[way.index(following) :], following])
            elif following not in done:
                way.append(following)
                waiting.append((following, iter(sorted(edges[following]))))
    return found


def _module(name: str, graph: Mapping[str, Set[str]]) -> str:
    """Return the module that an imported name is or stands in, "" for what is not Python."""
    if name in graph:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in graph and not name.endswith("._native") else ""
