"""Judge the last three gates: training, evaluation, decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clairkit.evaluation.config_table import read_config_table
from clairkit.pilot.evidence import Figure, Files, number, part, rows, whole
from clairkit.pilot.gates import Gate, gate, share
from clairkit.pilot.pilot_file import Pilot
from clairkit.records.json_types import JsonMapping

_WORDS = ("go", "stop", "more")
_WORST_FIRST = ("violated", "undecided", "holds")


def training_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge whether each run ended, and its diagnosis names no problem."""
    evidence: list[Figure] = []
    missing, interrupted, problems = [], [], []
    for run in pilot.runs:
        file = f"{run}/run.json"
        found = files.json(file)
        if found is None:
            missing.append(run)
            continue
        if found.get("signal"):
            interrupted.append(run)
        findings = rows(part(found, "diagnosis"), "findings")
        problems += [f"{run}: {each.get('title')}" for each in findings if _is_problem(each)]
        evidence.append(files.figure("trained_pairs", number(found.get("pairs")), file, name=run))
        evidence += _moved(files, found, file, run)
    chosen = files.json(pilot.sweep, schema=1)
    if chosen is not None:
        evidence.append(files.figure("trials", len(rows(chosen, "trials")), pilot.sweep))
    if problems:
        return gate(5, "failed", "training_problem", *evidence, problems="; ".join(problems))
    if interrupted:
        return gate(5, "waiting", "training_interrupted", *evidence, runs=", ".join(interrupted))
    if missing:
        return gate(5, "waiting", "not_trained", *evidence, runs=", ".join(missing))
    if chosen is not None and chosen.get("choice") is None:
        return gate(5, "waiting", "sweep_open", *evidence)
    return gate(5, "passed", "training_sound", *evidence, n=len(pilot.runs))


def evaluation_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge what the evaluation says of every run, guards and the spread between seeds included."""
    file = evaluation_file(pilot)
    found = files.json(file, schema=1)
    if found is None:
        return gate(6, "waiting", "not_evaluated")
    evidence = [files.figure("evaluated", number(part(found, "prompts").get("n")), file)]
    evidence += signal_figures(pilot, files, found)
    if files.entry(file, "files") is not None and (name := files.changed(file)):
        return gate(6, "failed", "changed", *evidence, file=name)
    verdicts = {name: part(found, "verdicts", name) for name in pilot.candidates}
    if missing := [name for name, each in verdicts.items() if not each.get("verdict")]:
        return gate(6, "waiting", "not_all_evaluated", *evidence, models=", ".join(missing))
    trained = [each for each in rows(found, "models") if whole(each.get("trained_on"))]
    if trained:
        n = max(whole(each.get("trained_on")) for each in trained)
        return gate(6, "failed", "trained_on", *evidence, n=n)
    held = [name for name, each in verdicts.items() if each["verdict"] == "HOLD"]
    if held:
        return gate(6, "failed", "hold", *evidence, models=", ".join(held))
    if pilot.evaluate.get("votes") and not _has(found, "people"):
        return gate(6, "waiting", "no_votes", *evidence)
    if any(each["verdict"] != "SHIP" for each in verdicts.values()):
        more = max(whole(part(each, "needed").get("more")) for each in verdicts.values())
        values = {"more": more} if more else {}
        return gate(6, "waiting", "need_more" if more else "need_more_open", *evidence, **values)
    spread = [each for each in rows(found, "signals") if each.get("signal") == "seeds"]
    if any((number(each.get("low")) or 0.0) <= 0 for each in spread):
        return gate(6, "waiting", "seeds_undecided", *evidence, n=len(pilot.runs))
    return gate(6, "passed", "ship", *evidence)


def decision_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge whether somebody has decided.

    Raises:
        DataError: the file of the decision lacks a word, a name or a reason.
    """
    path = pilot.folder / pilot.decided
    if not path.is_file():
        return gate(7, "waiting", "no_decision")
    table = read_config_table(path)
    word = table.choice("decision", _WORDS)
    values = {"by": table.text("by"), "why": table.text("why"), "date": str(table.get("date"))}
    table.refuse_others()
    return gate(
        7, "passed", f"decided_{word}", files.figure("decision", 1, pilot.decided), **values
    )


def evaluation_file(pilot: Pilot) -> str:
    """Return the file of the evaluation's figures."""
    return f"{pilot.evaluation}/eval.json"


def signal_figures(pilot: Pilot, files: Files, found: JsonMapping) -> list[Figure]:
    """Return what changed against the baseline: over all seeds, for the first run, and guards.

    The first run is as good as any other; to show the one that did best would flatter. A guard
    has the worst of all runs.
    """
    first, file = next(iter(pilot.candidates)), evaluation_file(pilot)
    shares, changes = [], []
    for each in rows(found, "signals"):
        kind, model, is_change = each.get("signal"), each.get("model"), each.get("against")
        if is_change and kind != "elo" and (model == first or kind == "seeds"):
            changes.append(_signal(files, each, file))
        elif kind == "check" and not is_change and model in (first, pilot.baseline):
            shares.append(_signal(files, {**each, "signal": "right", "name": model}, file))
    return [*changes, *_guards(pilot, files, found, file), *reversed(shares)]


def _signal(files: Files, each: JsonMapping, file: str) -> Figure:
    unit, name = str(each.get("unit") or ""), str(each.get("name") or "")
    return files.figure(
        str(each.get("signal")),
        number(each.get("estimate")),
        file,
        n=whole(each.get("n")),
        low=number(each.get("low")),
        high=number(each.get("high")),
        level=number(each.get("level")),
        unit=unit,
        name=name,
    )


def _guards(pilot: Pilot, files: Files, found: JsonMapping, file: str) -> Iterator[Figure]:
    worst: dict[str, JsonMapping] = {}
    for each in rows(found, "guards"):
        name, status = str(each.get("name")), each.get("status")
        if each.get("model") not in pilot.candidates or status not in _WORST_FIRST:
            continue
        known = worst.get(name)
        order = _WORST_FIRST.index
        if known is None or order(str(status)) < order(str(known.get("status"))):
            worst[name] = each
    for name, each in worst.items():
        yield files.figure(
            "guard",
            number(each.get("estimate")),
            file,
            n=whole(each.get("n")),
            low=number(each.get("lower")),
            level=number(each.get("level")),
            unit=str(each.get("unit") or ""),
            name=name,
            status=str(each.get("status")),
        )


def _moved(files: Files, found: JsonMapping, file: str, run: str) -> Iterator[Figure]:
    n = whole(part(found, "movement").get("pairs"))
    right = number(part(found, "movement", "end").get("rewards/accuracies"))
    if n and right is not None and 0 <= right <= 1:
        yield share(files, "moved", round(right * n), n, file, name=run)


def _is_problem(found: Mapping[str, Any]) -> bool:
    return found.get("level") == "problem"


def _has(found: JsonMapping, signal: str) -> bool:
    return any(each.get("signal") == signal for each in rows(found, "signals"))
