"""Make the memo: one printed A4 page for the person who decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit import __version__
from clairkit.markup import asset, render_page
from clairkit.pilot.evidence import Figure
from clairkit.pilot.memo_parts import Refs, costs, evidence_date, loss_of, pays, risks
from clairkit.pilot.model_gates import evaluation_file
from clairkit.pilot.show import UTILITY, clipped, figure_name, figure_text, value_text
from clairkit.pilot.survey import Survey, gate_name, reason_text, words

_MARK = b'<meta name="generator" content="clairkit pilot memo"/>'
# What fits the page: rows of the table, guards among them, risks, counted figures; and the width of
# texts in letters.
_ROWS, _GUARDS, _RISKS, _COUNTS = 9, 3, 6, 8
_LINE, _TEXT, _RISK, _NAME = 62, 150, 190, 40
_TELLING = ("people", "kpi", "blend", "seeds", "check", "right", "length-controlled judge", "judge")
_WORST = ("violated", "undecided", "holds")
_OPEN_EVIDENCE = frozenset({"need_more", "need_more_open", "seeds_undecided", "no_votes"})
_LEVELS = {"go": "good", "go_conditions": "note", "no": "problem"}


@dataclass(frozen=True)
class Memo:
    """The page, and what it recommends.

    Attributes:
        html: the page.
        key: of the recommendation: go, go_conditions, not_yet, no, none.
        recommendation: in the memo's language.
    """

    html: str
    key: str
    recommendation: str


def make_memo(found: Survey, code: str) -> Memo:
    """Return the memo of a pilot. The same files give the same bytes.

    Args:
        found: the pilot as its files show it.
        code: language of the memo.
    """
    texts, pilot, refs = words(code)["memo"], found.pilot, Refs(found)
    key = recommended(found)
    tried = texts["tried_text"].format(
        model=clipped(_short(pilot.model), _NAME),
        reviser=clipped(pilot.reviser, _NAME),
        loss=clipped(loss_of(found), _NAME),
    )
    counts = [(figure_text(each, code), refs.mark(each.file)) for each in _counted(found)]
    rows, more = _rows(found, code, refs)
    level = next((each.level for each in _changes(found) if each.level), 0.95)
    values: dict[str, Any] = {
        "decision": clipped(pilot.decision, _TEXT),
        "as_of": texts["as_of"].format(date=evidence_date(found)),
        "level": _LEVELS.get(key, "note"),
        "headline": texts[key],
        "why": _why(found, key, code),
        "tried": tried,
        "counts": counts,
        "rows": rows,
        "more": more,
        "changed_note": texts["changed_note"].format(level=f"{100 * level:g} %"),
        "costs": costs(found, code, refs),
        "pays": pays(found, code, refs),
        "risks": _most(risks(found, code), _RISKS),
        "gates": [_gate(found, number, code) for number in range(1, len(found.gates) + 1)],
        "decided": _decided(found, code),
    }
    html = render_page(
        "pilot/templates/memo.html",
        style=asset("pilot/assets/memo.css"),
        language=code,
        title=clipped(pilot.title, _LINE),
        texts=texts,
        files=refs.files(),
        made=texts["made"].format(version=__version__),
        **values,
    )
    return Memo(html, key, texts[key])


def is_memo(path: Path) -> bool:
    """Return whether a file is a memo of ours, which may be made anew."""
    return path.is_file() and _MARK in path.read_bytes()[:4096]


def recommended(found: Survey) -> str:
    """Return the key of the recommendation.

    It rests on the evidence alone: an override lets the road go on, and makes a recommendation
    conditional, but turns no evaluation into a better one.
    """
    evaluation = found.gates[5]
    if evaluation.reason == "hold":
        return "no"
    before = found.gates[:5]
    if any(found.is_open(gate) for gate in before):
        return "none"
    if evaluation.state == "passed":
        is_clean = all(gate.state == "passed" for gate in before)
        return "go" if is_clean else "go_conditions"
    return "not_yet" if evaluation.reason in _OPEN_EVIDENCE else "none"


def _why(found: Survey, key: str, code: str) -> str:
    texts = words(code)["memo"]
    if key == "none":
        gate = next(gate for gate in found.gates if gate.state != "passed" and _holds(found, gate))
        reason = clipped(reason_text(gate, code), _TEXT)
        return str(texts["why_none"].format(gate=gate_name(gate.number, code), reason=reason))
    more = found.gates[5].values.get("more")
    if key == "not_yet" and not more:
        return str(texts["why_not_yet_open"])
    name = "go" if key == "go_conditions" else key
    return str(texts[f"why_{name}"].format(more=more))


def _holds(found: Survey, gate: Any) -> bool:
    return found.is_open(gate) or gate.number == 6


def _counted(found: Survey) -> list[Figure]:
    """Return what the gates before the evaluation rest on, the most telling first."""
    names = ("prompts", "held_out", "pairs", "usable", "agreement", "contrastiveness", "moved")
    every = [figure for gate in found.gates[:5] for figure in gate.evidence]
    return [figure for name in names for figure in every if figure.figure == name][:_COUNTS]


def _changes(found: Survey) -> list[Figure]:
    return [each for each in found.gates[5].evidence if not each.is_count]


def _rows(found: Survey, code: str, refs: Refs) -> tuple[list[tuple[str, ...]], str]:
    """Return the rows of what changed, and what is said where there are more of them."""
    figures = _changes(found)
    guards = sorted((each for each in figures if each.status), key=_worst_first)[:_GUARDS]
    signals = sorted((each for each in figures if not each.status), key=_most_telling_first)
    texts, shown = words(code)["memo"], []
    for each in [*signals[: _ROWS - len(guards)], *guards]:
        status = f" ({texts[each.status]})" if each.status else ""
        n = f"{each.n:,}" if each.n is not None else ""
        name = clipped(figure_name(each, code), _NAME)
        shown.append((name, value_text(each, code) + status, n, refs.mark(each.file)))
    left = len(figures) - len(shown)
    file = evaluation_file(found.pilot)
    return shown, texts["more_rows"].format(n=left, file=file) if left > 0 else ""


def _short(model: str) -> str:
    """Return the name of a model, of a folder somewhere on this machine the last part alone."""
    path = Path(model.removeprefix("hf:"))
    return path.name if path.is_absolute() else model


def _decided(found: Survey, code: str) -> str:
    gate = found.gates[6]
    return clipped(reason_text(gate, code), _TEXT) if gate.state == "passed" else ""


def _most_telling_first(figure: Figure) -> int:
    if figure.name == UTILITY:
        return -1
    return _TELLING.index(figure.figure) if figure.figure in _TELLING else len(_TELLING)


def _worst_first(figure: Figure) -> int:
    return _WORST.index(figure.status)


def _gate(found: Survey, number: int, code: str) -> tuple[str, str, str]:
    """Return a gate's state as a class, its name, and its state in words."""
    gate = found.gates[number - 1]
    overridden = gate.state != "passed" and found.override(gate) is not None
    state = "overridden" if overridden else gate.state
    return state, gate_name(number, code), words(code)["states"][state]


def _most(texts: Iterator[str], most: int) -> Sequence[str]:
    """Return the first texts and the last, each bounded."""
    found = [clipped(text, _RISK) for text in texts]
    return found if len(found) <= most else [*found[: most - 1], found[-1]]
