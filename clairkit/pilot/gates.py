"""Judge the first four gates: prompts, revisions, rubric, pairs. Each is a function of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from clairkit.evaluation.kpi_file import read_kpi_file
from clairkit.intervals import wilson
from clairkit.pilot.evidence import Figure, Files, number, parsed, part, rows, whole
from clairkit.pilot.pilot_file import Pilot
from clairkit.records import ColumnChoice, leakage, read_prompts
from clairkit.statistics.estimates import Estimate
from clairkit.statistics.sample_size import prompts_for_win_rate
from clairkit.statistics.win_rate import mean_share

State = Literal["passed", "failed", "waiting"]
Row = TypeVar("Row")

# Flags of `score` that no clean pair has.
UNCLEAN = (
    "identical",
    "whitespace_only",
    "empty_chosen",
    "empty_rejected",
    "duplicate",
    "near_duplicate",
    "in_eval",
    "contaminated",
)
# Fields that `pilot init` leaves to be filled in, and what marks them.
_FILLED_IN = ("title", "decision", "model")
_TO_FILL_IN = ">>>"

DROPPED = "dead,empty,duplicate,near_duplicate,in_eval"
"""What `clairkit score` leaves out, so that a pair is clean."""


@dataclass(frozen=True)
class Gate:
    """What the evidence says of a gate.

    Attributes:
        number: of the gate, from 1.
        state: failed gates stop the road; waiting ones need more evidence, or have none yet.
        reason: key of the sentence that says why.
        values: what is put into it.
        evidence: the figures.
    """

    number: int
    state: State
    reason: str
    values: Mapping[str, str]
    evidence: tuple[Figure, ...] = ()


def prompts_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge whether prompts, and what is expected of answers, are collected."""
    blank = [name for name in _FILLED_IN if getattr(pilot, name).startswith(_TO_FILL_IN)]
    if blank:
        return gate(1, "waiting", "not_filled_in", fields=", ".join(blank))
    for name in (pilot.prompts, pilot.held_out):
        if not files.has(name):
            return gate(1, "waiting", "no_prompts", file=name)
    learned, learning = _counted(_prompts(pilot, pilot.prompts))
    found = leakage(learning, _prompts(pilot, pilot.held_out))
    needed = prompts_for_win_rate(pilot.wanted.win_rate)
    evidence = (
        files.figure("prompts", learned[0], pilot.prompts),
        files.figure("held_out", found.total, pilot.held_out),
        files.figure("shared", found.shared, pilot.held_out),
    )
    if found.shared:
        return gate(1, "failed", "shared", *evidence, shared=found.shared)
    if learned[0] < pilot.wanted.prompts:
        least = f"{pilot.wanted.prompts:g}"
        return gate(1, "waiting", "few_prompts", *evidence, n=learned[0], least=least)
    if found.total < needed:
        rate = f"{100 * pilot.wanted.win_rate:g} %"
        values = {"n": found.total, "least": needed, "rate": rate}
        return gate(1, "waiting", "few_held_out", *evidence, **values)
    if not pilot.measures:
        return gate(1, "waiting", "no_measure", *evidence)
    kpi = pilot.evaluate.get("kpi")
    if kpi is not None and not files.has(str(kpi)):
        return gate(1, "waiting", "no_file", *evidence, file=kpi)
    if kpi is not None:
        kpis = len(read_kpi_file(pilot.folder / str(kpi)).kpis)
        evidence = (*evidence, files.figure("kpis", kpis, str(kpi)))
    return gate(1, "passed", "collected", *evidence, measures=", ".join(pilot.measures))


def revisions_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge whether the reviser is healthy, by its probe and by what its pairs' gates said."""
    evidence: list[Figure] = []
    card = f"{pilot.pairs}.health.json"
    if not is_program(pilot.reviser):
        health = files.json(card)
        if health is None:
            return gate(2, "waiting", "not_probed")
        evidence += _probed(files, card, health)
        state = health.get("state")
        if state == "unhealthy":
            failed = [
                str(each.get("label"))
                for each in part(health, "findings").values()
                if isinstance(each, Mapping) and each.get("verdict") == "fail"
            ]
            return gate(2, "failed", "unhealthy", *evidence, lines="; ".join(failed))
        if state != "healthy":
            return gate(2, "waiting", "probe_undecided", *evidence)
    entry = files.entry(pilot.pairs, "rows")
    if entry is None:
        return gate(2, "waiting", "not_built", *evidence)
    asked, made = whole(entry.get("rows")), whole(entry.get("pairs"))
    manifest = f"{pilot.pairs}.manifest.jsonl"
    evidence.append(files.figure("pairs", made, manifest))
    if open_rows := whole(entry.get("unfinished")):
        return gate(2, "waiting", "build_unfinished", *evidence, rows=open_rows)
    if not asked:
        return gate(2, "waiting", "not_built", *evidence)
    usable = min(asked, made + whole(part(entry, "counts").get("no_op")))
    evidence.append(share(files, "usable", usable, asked, manifest))
    return _against(2, evidence, pilot.wanted.usable, "usable")


def rubric_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge whether what says which answer is better agrees with labels of people."""
    found = files.json(pilot.calibration)
    if found is None:
        if not files.has(pilot.labels):
            key = "no_labels" if pilot.judges else "program_unlabelled"
            return gate(3, "waiting", key)
        return gate(3, "waiting", "not_calibrated")
    chosen, choosing = found.get("chosen"), part(found, "choosing")
    agreement = _estimate(files, "agreement", choosing, pilot.calibration)
    evidence = (files.figure("labels", number(found.get("labels")), pilot.calibration), agreement)
    if agreement.high is not None and agreement.high < pilot.wanted.agreement:
        least = f"{100 * pilot.wanted.agreement:g} %"
        return gate(3, "failed", "rubric_disagrees", *evidence, least=least)
    if not chosen:
        needed = [whole(each.get("labels_needed")) for each in rows(found, "lead_of_the_best")]
        values = {"needed": max(needed, default=0)}
        key = "not_separable" if values["needed"] else "not_separable_open"
        return gate(3, "waiting", key, *evidence, **values)
    return gate(3, "passed", "rubric_agrees", *evidence, name=str(chosen))


def pairs_gate(pilot: Pilot, files: Files) -> Gate:
    """Judge whether the pairs are as they were made, clean, and contrastive."""
    if not files.has(pilot.scored):
        return gate(4, "waiting", "not_scored")
    sealed = files.entry(pilot.pairs, "files")
    if sealed is not None and (name := files.changed(pilot.pairs)):
        return gate(4, "failed", "changed", file=name)
    scores: list[float] = []
    unclean = count = 0
    with (pilot.folder / pilot.scored).open("rb") as lines:
        for line in lines:
            row = part(parsed(line), "scores")
            count += 1
            flags = row.get("flags")
            unclean += isinstance(flags, list) and any(flag in UNCLEAN for flag in flags)
            value = number(row.get("contrastiveness"))
            scores += [] if value is None else [value]
    evidence = [files.figure("kept", count, pilot.scored)]
    evidence.append(files.figure("unclean", unclean, pilot.scored))
    if unclean:
        return gate(4, "failed", "unclean", *evidence, n=unclean)
    if count < pilot.wanted.pairs or not scores:
        values = {"n": count, "least": f"{pilot.wanted.pairs:g}"}
        return gate(4, "waiting", "few_pairs", *evidence, **values)
    found: Estimate = mean_share(scores)
    ends = found.interval
    low, high = (None, None) if ends is None else (ends.low, ends.high)
    evidence.append(
        files.figure(
            "contrastiveness",
            found.estimate,
            pilot.scored,
            n=found.n,
            low=low,
            high=high,
            level=found.level,
            unit="",
        )
    )
    return _against(4, evidence, pilot.wanted.contrastiveness, "contrast")


def gate(at: int, state: State, reason: str, *evidence: Figure, **values: object) -> Gate:
    """Return what is said of a gate; whole numbers are written for reading."""
    told = {
        name: f"{value:,}" if isinstance(value, int) else str(value)
        for name, value in values.items()
    }
    return Gate(at, state, reason, told, evidence)


def share(files: Files, key: str, hits: int, n: int, file: str, name: str = "") -> Figure:
    """Return a share with Wilson's interval.

    Args:
        files: of the pilot.
        key: of the figure.
        hits: how many of `n`.
        n: at least 1.
        file: that it stands in.
        name: tells it apart from others of its kind.
    """
    ends = wilson(hits, n)
    more = {"n": n, "low": ends.low, "high": ends.high, "level": 0.95, "unit": "share"}
    return files.figure(key, hits / n, file, name=name, **more)


def is_program(spec: str) -> bool:
    """Return whether a spec is of a function."""
    return spec.startswith("python:")


def _against(at: int, evidence: list[Figure], least: float, key: str) -> Gate:
    """Judge the last figure: its whole interval lies above what is wanted, below it, or neither."""
    figure = evidence[-1]
    percent = f"{100 * least:g} %" if figure.unit == "share" else f"{least:g}"
    if figure.low is not None and figure.low >= least:
        return gate(at, "passed", f"{key}_enough", *evidence, least=percent)
    if figure.high is not None and figure.high < least:
        return gate(at, "failed", f"{key}_low", *evidence, least=percent)
    return gate(at, "waiting", f"{key}_undecided", *evidence, least=percent)


def _probed(files: Files, card: str, health: Mapping[str, object]) -> Iterator[Figure]:
    for name in ("untouched", "fixed"):
        found = part(health, "findings", name)
        if whole(found.get("n")):
            yield _estimate(files, name, found, card)


def _estimate(files: Files, key: str, found: Mapping[str, object], file: str) -> Figure:
    return files.figure(
        key,
        number(found.get("share")),
        file,
        n=whole(found.get("n")),
        low=number(found.get("low")),
        high=number(found.get("high")),
        level=0.95,
        unit="share",
    )


def _prompts(pilot: Pilot, name: str) -> Iterator[object]:
    ignored = pilot.build.get("ignore_column") or []
    columns = ColumnChoice(
        prompt=pilot.build.get("prompt_column"),
        system=pilot.build.get("system_column"),
        ignore=tuple(ignored if isinstance(ignored, list) else [ignored]),
    )
    skip = bool(pilot.build.get("skip_bad"))
    return iter(read_prompts(str(pilot.folder / name), skip_bad=skip, columns=columns))


def _counted(found: Iterator[Row]) -> tuple[list[int], Iterator[Row]]:
    """Return a count that grows while the rows are read, and the rows."""
    count = [0]

    def counting() -> Iterator[Row]:
        for each in found:
            count[0] += 1
            yield each

    return count, counting()
