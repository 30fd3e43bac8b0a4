"""Gather what a memo says of costs, of break-even, and of what could go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clairkit.pilot.evidence import number, part, rows, whole
from clairkit.pilot.gates import is_program
from clairkit.pilot.model_gates import evaluation_file
from clairkit.pilot.show import UTILITY, clipped
from clairkit.pilot.survey import Survey, gate_name, reason_text, words
from clairkit.records.formats.yaml_file import YamlProblem, read_yaml
from clairkit.records.json_types import JsonMapping

_HASH = 16  # digits that `clairkit verify --head` takes, too
_MINUTE = 60
_NAME, _WHO, _WHY = 36, 24, 100


class Refs:
    """The files that a page names, numbered as they come up."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._names: list[str] = []

    def mark(self, file: str) -> str:
        """Return the number of a file."""
        if file not in self._names:
            self._names.append(file)
        return str(self._names.index(file) + 1)

    def files(self) -> list[tuple[str, str, str]]:
        """Return number, name and the beginning of the hash of each file."""
        hashes = [self._found.files.sha256(name)[:_HASH] for name in self._names]
        return [
            (str(at), clipped(name, _NAME), hashes[at - 1])
            for at, name in enumerate(self._names, 1)
        ]


def evidence_date(found: Survey) -> str:
    """Return the day of the newest evidence that a manifest has sealed; "-" without one."""
    pilot = found.pilot
    for output in (evaluation_file(pilot), pilot.pairs):
        entry = found.files.entry(output, "time")
        if entry is not None:
            return str(entry["time"])[:10]
    return "-"


def loss_of(found: Survey) -> str:
    """Return the loss of the first run, as its configuration has it; else as the pilot's file."""
    pilot = found.pilot
    try:
        config = read_yaml(pilot.folder / pilot.runs[0] / "config.yaml")
    except (OSError, YamlProblem):
        config = None
    return str((config if isinstance(config, dict) else pilot.train).get("loss", "apo_zero"))


def costs(found: Survey, code: str, refs: Refs) -> list[tuple[str, str]]:
    """Return what each station took, and the number of the file that says so."""
    return list(_costs(found, code, refs))


def _costs(found: Survey, code: str, refs: Refs) -> Iterator[tuple[str, str]]:
    pilot, files, texts = found.pilot, found.files, words(code)["memo"]
    card, evaluated = f"{pilot.pairs}.health.json", evaluation_file(pilot)
    spent: list[tuple[str, str, JsonMapping, str]] = [
        ("cost_probe", card, part(files.json(card), "spent"), "cost"),
        (
            "cost_build",
            f"{pilot.pairs}.manifest.jsonl",
            files.entry(pilot.pairs, "calls") or {},
            "cost",
        ),
        ("cost_labels", pilot.calibration, files.json(pilot.calibration) or {}, "cost"),
        ("cost_evaluation", evaluated, part(files.json(evaluated), "cost"), "usd"),
    ]
    for key, file, each, price in spent:
        if whole(each.get("calls")):
            yield _calls_text(texts, texts[key], each, each.get(price)), refs.mark(file)
    runs = [(f"{run}/run.json", files.json(f"{run}/run.json")) for run in pilot.runs]
    done = [(file, facts) for file, facts in runs if facts is not None]
    if done:
        seconds = sum(number(facts.get("seconds")) or 0.0 for _, facts in done)
        text = texts["cost_training"].format(minutes=f"{seconds / _MINUTE:,.1f}", runs=len(done))
        yield text, refs.mark(done[0][0])
    paid, _ = _break_even(found)
    if paid:
        money = {name: f"{number(paid.get(key)) or 0:,.0f}" for name, key in _AMOUNTS.items()}
        text = texts["spent"].format(currency=clipped(str(paid.get("currency")), 8), **money)
        yield text, refs.mark(evaluated)


_AMOUNTS = {"amount": "once", "monthly": "monthly"}


def _calls_text(texts: Any, what: str, spent: JsonMapping, usd: object) -> str:
    inner = part(spent, "tokens") or {
        name: spent.get(f"{name}_tokens") for name in ("prompt", "completion")
    }
    tokens = sum(whole(each) for each in inner.values())
    price = number(usd)
    shown = texts["no_price"] if price is None else f"US$ {price:,.2f}"
    calls = f"{whole(spent.get('calls')):,}"
    text: str = texts["cost_text"].format(what=what, calls=calls, tokens=f"{tokens:,}", usd=shown)
    return text


def pays(found: Survey, code: str, refs: Refs) -> tuple[str, str]:
    """Return when what was spent has come back, with its interval, and the number of the file."""
    texts = words(code)["memo"]
    told, n = _break_even(found)
    if not told:
        return texts["not_known"], ""
    months = [number(told.get(name)) for name in ("months", "low", "high")]
    middle, low, high = (texts["never"] if each is None else f"{each:,.1f}" for each in months)
    if months[0] is None:
        text = f"{texts['never']} [{low}, {high}], n = {n:,}"
    else:
        text = texts["pays"].format(months=middle, low=low, high=high, n=f"{n:,}")
    return text, refs.mark(evaluation_file(found.pilot))


def _break_even(found: Survey) -> tuple[JsonMapping, int]:
    facts = found.files.json(evaluation_file(found.pilot)) or {}
    first = next(iter(found.pilot.candidates))
    for each in rows(facts, "signals"):
        is_utility = each.get("signal") == "kpi" and each.get("name") == UTILITY
        if is_utility and each.get("model") == first:
            return part(each, "details", "break_even"), whole(each.get("n"))
    return {}, 0


def risks(found: Survey, code: str) -> Iterator[str]:
    """Yield what could go wrong, the most pressing first; what holds of every pilot comes last."""
    texts, pilot = words(code)["memo"], found.pilot
    for gate in found.gates:
        override = None if gate.state == "passed" else found.override(gate)
        if override is not None:
            name = gate_name(gate.number, code)
            who, why = clipped(override.who, _WHO), clipped(override.why, _WHY)
            values = {"who": who, "date": override.when[:10], "why": why}
            yield texts["risk_override"].format(gate=f"{gate.number} ({name})", **values)
        elif gate.state == "failed":
            yield texts["risk_failed"].format(gate=gate.number, reason=reason_text(gate, code))
    yield from _evaluation_risks(found, code)
    if len(pilot.runs) == 1:
        yield texts["risk_one_seed"]
    if is_program(pilot.reviser):
        yield texts["risk_program"]
    yield from _training_notes(found, code)
    yield texts["risk_narrow"]


def _evaluation_risks(found: Survey, code: str) -> Iterator[str]:
    texts = words(code)["memo"]
    facts = found.files.json(evaluation_file(found.pilot))
    if facts is None:
        return
    figures = found.gates[5].evidence
    for each in figures:
        if each.figure == "guard" and each.status != "holds":
            yield texts["risk_guard"].format(name=clipped(each.name, _NAME))
    if not any(each.figure == "guard" for each in figures):
        yield texts["risk_no_guard"]
    if not any(each.figure in ("people", "blend") for each in figures):
        yield texts["risk_no_people"]
    if any(each.get("warnings") for each in rows(facts, "judges")):
        yield texts["risk_family"]
    first = next(iter(found.pilot.candidates))
    model = next((each for each in rows(facts, "models") if each.get("name") == first), {})
    lost = whole(model.get("cut")) + sum(map(whole, part(model, "failures").values()))
    if lost:
        total = whole(part(facts, "prompts").get("n"))
        yield texts["risk_cut"].format(n=f"{lost:,}", total=f"{total:,}")


def _training_notes(found: Survey, code: str) -> Iterator[str]:
    """Yield the titles of what the diagnosis of the first run notes, in a language."""
    from clairkit.runs.diagnosis import retold  # brings torch

    facts = found.files.json(f"{found.pilot.runs[0]}/run.json")
    told = part(facts, "diagnosis")
    if not rows(told, "findings"):
        return
    for each in retold(told, code).findings:
        if each.level == "note":
            yield words(code)["memo"]["risk_training"].format(title=each.title)
