"""What an evaluation found, as people and `--json` see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.evaluation.evaluate import Evaluation
    from clairkit.evaluation.run import Evaluated
    from clairkit.evaluation.signals import Signal
    from clairkit.intervals import Difference
    from clairkit.records.json_types import JsonObject


def show_warnings(console: Console, found: Evaluated) -> None:
    """Warn of what makes the figures worth less."""
    from clairkit.evaluation.verdict import called

    plan = found.plan
    refused = found.skipped.get("template_refused")
    if refused:
        console.warn(f"left out, since a chat template refuses them: {refused} prompts")
    for model in found.to_json()["models"]:
        name = called(model["name"])
        if model["trained_on"]:
            console.warn(
                f"{model['spec']} was trained on {model['trained_on']} of these "
                f"{len(plan.prompts)} prompts: they are not held out, and its answers to them say "
                "little of others"
            )
        if model["cut"]:
            console.warn(
                f"{model['cut']} of {len(found.results)} answers of {name} were cut at "
                f"{plan.comparison.sampling.max_new_tokens} tokens; see --max-new-tokens"
            )
        if model["failures"]:
            listed = ", ".join(f"{reason} {count}" for reason, count in model["failures"].items())
            console.warn(f"no answer of {name}, counted as wrong: {listed}")
    for warnings in plan.warnings.values():
        for text in warnings:
            console.warn(text)
    for signal in found.signals:
        details = signal.details or {}
        if signal.signal == "judge" and details["unparsed"]:
            console.warn(
                f"{details['unparsed']} of {details['verdicts']} verdicts of {signal.name} could "
                f"not be read: W is between {100 * details['worst']:.1f} and "
                f"{100 * details['best']:.1f} %, as they may have gone"
            )


def show_evaluated(console: Console, found: Evaluated) -> None:
    """Show one table, a row a signal, and one verdict."""
    from clairkit.evaluation.verdict import called
    from clairkit.evaluation.wording import score_sentence, sentence

    plan = found.plan
    is_simple = len(plan.candidates) == 1 and not plan.comparison.judges and not plan.evidence
    if is_simple:
        after, before = _sides(found)
        assert after is not None
        change = _difference(found)
        _show_checked(console, _title(found), after, before, change)
        console.show(sentence(after, change))
        if after.has_scores:
            console.show(score_sentence(after, before, _score_change(found)))
    else:
        console.table(
            f"{_prompts(found)}, {100 * found.plan.resampling.level:g} % intervals",
            ["", "n", "estimate", "interval", "rests on"],
            [_row(signal, found.plan.baseline) for signal in found.signals],
            note="\n".join(_notes(found)),
        )
    for guard in found.guards:
        console.show(f"Guard {guard.result.status} for {called(guard.model)}: {guard.reason}.")
    for decision in found.decisions.values():
        name = "" if len(found.decisions) == 1 else f"{decision.model}: "
        console.show(f"{name}{decision.verdict}: {decision.reason}.")


def simple_json(found: Evaluated) -> JsonObject:
    """Return the keys of one model, a baseline and a check; null where there is no such thing."""
    after, before = _sides(found)
    change, scores = _difference(found), _score_change(found)
    difference = None
    if change is not None:
        difference = {**dataclasses.asdict(change), "verdict": change.verdict}
    moved = None
    if scores is not None and after is not None and before is not None:
        estimate = after.mean_score - before.mean_score
        moved = {"estimate": estimate, "low": scores.low, "high": scores.high}
    plan = found.plan
    return {
        "model": _measured(found, plan.candidates[0], after),
        "baseline": _measured(found, plan.baseline, before),
        "difference": difference,
        "score_difference": moved,
        "skipped": dict(found.skipped),
    }


def answer_rows(found: Evaluated) -> Iterator[JsonObject]:
    """Yield the rows of a file of answers: the one candidate's, with the prompts' columns."""
    specs = {each.name: each.spec for each in found.plan.comparison.contestants}
    (name,) = found.plan.candidates
    base = found.plan.baseline
    for place, answer in enumerate(found.checked[name].rows):
        row = {**answer.to_json(), "model": specs[name]}
        if base is not None:
            other = found.checked[base].rows[place]
            row["baseline"] = {**other.outcome(), "model": specs[base]}
        yield row


def _sides(found: Evaluated) -> tuple[Evaluation | None, Evaluation | None]:
    base = found.plan.baseline
    before = None if base is None else found.checked.get(base)
    return found.checked.get(found.plan.candidates[0]), before


def _difference(found: Evaluated) -> Difference | None:
    from clairkit.evaluation.evaluate import compare

    after, before = _sides(found)
    if after is None or before is None:
        return None
    return compare(before, after, found.plan.resampling.level)


def _score_change(found: Evaluated) -> Any:
    from clairkit.evaluation.evaluate import score_change

    after, before = _sides(found)
    return None if after is None or before is None else score_change(before, after)


def _measured(found: Evaluated, name: str | None, checked: Evaluation | None) -> JsonObject | None:
    spec = next((x.spec for x in found.plan.comparison.contestants if x.name == name), None)
    if name is None or checked is None:
        return None if spec is None else {"spec": spec}
    scores = checked.score_interval()
    return {
        "spec": spec,
        "n": checked.n,
        "successes": checked.successes,
        "share": checked.share,
        "low": checked.interval.low,
        "high": checked.interval.high,
        "mean_score": checked.mean_score,
        "mean_score_low": scores.low,
        "mean_score_high": scores.high,
        "trained_on": found.plan.trained_on[name],
        "cut": checked.cut,
        "failures": checked.failures,
    }


def _title(found: Evaluated) -> str:
    level = 100 * found.plan.resampling.level
    return f"Right answers on {_prompts(found)}, {level:g} % intervals"


def _prompts(found: Evaluated) -> str:
    known = [seen for seen in found.plan.trained_on.values() if seen is not None]
    held_out = "held-out " if known and not any(known) else ""
    return f"{len(found.results)} {held_out}prompts"


def _show_checked(
    console: Console,
    title: str,
    after: Evaluation,
    before: Evaluation | None,
    change: Difference | None,
) -> None:
    from clairkit.evaluation.wording import percent, points

    rows = []
    for name, each in (("model", after), ("baseline", before)):
        if each is not None:
            low, high = percent(each.interval.low), percent(each.interval.high)
            counted = f"{each.successes}/{each.n}"
            rows.append([name, counted, percent(each.share), low, high, f"{each.mean_score:.3f}"])
    if change is not None:
        low, high = points(change.low, unit=False), points(change.high, unit=False)
        moved = f"+{change.gained} -{change.lost}"
        rows.append(["change", moved, points(change.estimate, unit=False), low, high, ""])
    console.table(
        title,
        ["", "right", "share", "low", "high", "mean score"],
        rows,
        note="change: percentage points, on the same prompts" if change is not None else "",
    )


def _row(signal: Signal, baseline: str | None) -> list[str]:
    from clairkit.evaluation.verdict import number

    name = signal.model
    if signal.against not in (None, baseline):
        name += f" against {signal.against}"
    what = _what(signal)
    ends = (signal.low, signal.high)
    shown = ["" if end is None else number(signal, end) for end in ends]
    interval = "too few" if ends == (None, None) else f"{shown[0]} to {shown[1]}"
    estimate = "" if signal.estimate is None else number(signal, signal.estimate, unit=True)
    return [f"{name}: {what}", f"{signal.n:,}", estimate, interval, _rests_on(signal)]


def _what(signal: Signal) -> str:
    from clairkit.evaluation.judge_signals import ALL_JUDGES

    if signal.signal == "length-controlled judge":
        return "at equal length"
    if signal.signal == "check" and signal.against is not None:
        return f"change of {signal.name or 'right answers'}"
    if signal.signal == "judge" and signal.name == ALL_JUDGES:
        return signal.name
    return f"{signal.signal} {signal.name}".strip()


def _rests_on(signal: Signal) -> str:
    details = signal.details or {}
    if signal.signal == "judge":
        known = (details["consistency"], details["first_wins"])
        shown = [f"{100 * each:.0f} %" for each in known if each is not None]
        return f"consistent {shown[0]}, first wins {shown[1]}" if len(shown) == 2 else ""
    if signal.signal == "length-controlled judge":
        return f"{details['mean_length_difference']:+.0f} characters a prompt"
    if "gained" in details:
        return f"+{details['gained']} -{details['lost']}"
    if "successes" in details:
        return f"{details['successes']:,} right"
    if "raters" in details:
        return f"{details['votes']:,} votes, E = {details['e_value']:.3g}"
    if "worth" in details:
        return f"{details['labels']:,} labels, weight of the judge {details['weight']:.2f}"
    if "mids" in details:
        return f"{details['mids']:+.2f} MID, weight {details['weight']:g}"
    if "comparisons" in details:
        return f"{details['comparisons']:,} verdicts"
    return "" if signal.clusters == signal.n else f"{signal.clusters:,} clusters"


def _notes(found: Evaluated) -> Iterator[str]:
    for signal in found.signals:
        if signal.notes and not (signal.signal.startswith("length") and not signal.is_defined):
            yield f"{signal.model}, {signal.signal}: {'; '.join(signal.notes)}."
        preference = (signal.details or {}).get("self_preference")
        if preference and preference["estimate"] is not None:
            ends = [preference["low"], preference["high"]]
            shown = "" if None in ends else f" ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})"
            yield (
                f"{signal.name} prefers {signal.model} {100 * preference['estimate']:+.1f} points"
                f"{shown} more than judges of other families do."
            )
    yield from found.notes
