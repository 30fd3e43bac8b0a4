"""Decide from signals and guards: SHIP, HOLD or NEED MORE, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from clairkit.evaluation.guards import GuardRow
from clairkit.evaluation.signals import Kind, Signal
from clairkit.intervals import Interval
from clairkit.records.json_types import JsonObject
from clairkit.statistics.estimates import Estimate
from clairkit.statistics.guards import GuardStatus
from clairkit.statistics.sample_size import needed
from clairkit.statistics.win_rate import MOST_UNPARSED

Word = Literal["SHIP", "HOLD", "NEED MORE"]

# What a decision rests on: the first that there is. A KPI counts by its weighted sum alone.
_ORDER: tuple[Kind, ...] = (
    "kpi",
    "blend",
    "people",
    "check",
    "length-controlled judge",
    "judge",
)
_UTILITY = "utility"
_FAR = 100_000
_PEOPLE = ("people", "blend")


@dataclass(frozen=True)
class Needed:
    """How many prompts, or labels, would about decide, if the estimate stayed as it is.

    Attributes:
        signal: that is undecided.
        name: of the signal.
        model: the candidate.
        total: in all; None where no number would do.
        more: beyond those at hand.
    """

    signal: str
    name: str
    model: str
    total: int | None
    more: int | None


@dataclass(frozen=True)
class Reason:
    """What speaks for a verdict: a sentence, and the same as data, for other languages.

    Attributes:
        code: of the sentence.
        text: in English.
        figures: that stand in it.
    """

    code: str
    text: str
    figures: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What to do with a candidate.

    Attributes:
        model: its name.
        verdict: in two words at most.
        reason: in a sentence.
        because: the code of the reason, and its figures.
        rests_on: the kind of signal that decided; None where there is none.
        needed: how many more would decide; None where nothing is open.
    """

    model: str
    verdict: Word
    reason: str
    because: JsonObject
    rests_on: str | None = None
    needed: Needed | None = None

    def to_json(self) -> JsonObject:
        """Return the decision as `eval.json` holds it."""
        needed = None if self.needed is None else asdict(self.needed)
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "because": self.because,
            "rests_on": self.rests_on,
            "needed": needed,
        }


_NOTHING = Reason("nothing", "nothing was compared with a baseline")


def decide(
    models: Sequence[str], signals: Sequence[Signal], guards: Sequence[GuardRow] = ()
) -> dict[str, Decision]:
    """Return the decision for each candidate.

    It ships when the signal that counts most lies above "no difference" with its whole interval,
    no other signal lies below it, and all guards hold. It is held when a guard is violated or a
    signal lies below. Else more is needed.

    Args:
        models: the candidates.
        signals: of all models; those without a baseline decide nothing.
        guards: of all models, after the test.
    """
    return {
        name: _decided(
            name,
            [each for each in signals if each.model == name and _can_decide(each)],
            [each for each in guards if each.model == name],
        )
        for name in models
    }


def best(decisions: Sequence[Decision]) -> Decision:
    """Return the decision that stands for all: one that ships, else one that is still open."""
    words: tuple[Word, ...] = ("SHIP", "NEED MORE", "HOLD")
    return min(decisions, key=lambda each: words.index(each.verdict))


def null_of(signal: Signal) -> float:
    """Return the value that means "no difference"."""
    return 0.5 if signal.unit == "share" else 0.0


def shown(signal: Signal) -> str:
    """Return a signal's estimate with its interval, as people read it."""
    if signal.estimate is None:
        return "unknown"
    text = number(signal, signal.estimate, unit=True)
    if signal.low is None or signal.high is None:
        return f"{text} (too few for an interval)"
    return f"{text} ({number(signal, signal.low)} to {number(signal, signal.high)})"


def number(signal: Signal, value: float, *, unit: bool = False) -> str:
    """Return a value in the signal's unit, as people read it."""
    if signal.unit == "share":
        return f"{100 * value:.1f}" + (" %" if unit else "")
    if signal.unit == "points":
        return f"{100 * value:+.1f}" + (" points" if unit else "")
    return f"{value:+.3g}" + (f" {signal.unit}" if unit else "")


def _can_decide(signal: Signal) -> bool:
    if signal.against is None or signal.signal in ("elo", "seeds"):
        return False
    return signal.signal != "kpi" or signal.name == _UTILITY


def _decided(model: str, signals: Sequence[Signal], guards: Sequence[GuardRow]) -> Decision:
    counted = [each for each in signals if _counts(each, signals)]
    main = next((each for kind in _ORDER for each in counted if each.signal == kind), None)
    if main is None:
        return _decision(model, "NEED MORE", _NOTHING)
    held = next(_objections(counted, guards), None)
    if held is not None:
        return _decision(model, "HOLD", held, main)
    doubts = [*unread(signals), *_open(main, signals), *_guards(guards, GuardStatus.UNDECIDED)]
    if not doubts:
        return _decision(model, "SHIP", _compared(main, "better", "is better than"), main)
    found = _decision(model, "NEED MORE", doubts[0], main)
    if _is_above(main):
        return found
    more, reason = _needed(main), found.reason
    if more.more and doubts[0].code != "unread":
        reason += f"; {_how_many(more.more, main)}"
    return replace(found, reason=reason, needed=more)


def _decision(model: str, verdict: Word, reason: Reason, main: Signal | None = None) -> Decision:
    because = {"code": reason.code, **reason.figures}
    return Decision(model, verdict, reason.text, because, None if main is None else main.signal)


def _counts(signal: Signal, signals: Sequence[Signal]) -> bool:
    """Whether a signal has a say: one judge of several has none beside all of them."""
    if signal.signal != "judge":
        return True
    judges = [each for each in signals if each.signal == "judge" and each.against == signal.against]
    return signal is judges[-1]


def _objections(signals: Sequence[Signal], guards: Sequence[GuardRow]) -> Iterator[Reason]:
    yield from _guards(guards, GuardStatus.VIOLATED)
    for signal in signals:
        if signal.high is not None and signal.high < null_of(signal):
            yield _compared(signal, "worse", "is worse than", ", beyond chance")


def _guards(guards: Sequence[GuardRow], status: GuardStatus) -> Iterator[Reason]:
    """Say which guards came out like that."""
    for each in guards:
        if each.result.status is status:
            yield Reason(f"guard_{status}", f"guard {status}: {each.reason}", each.figures())


def unread(signals: Iterable[Signal]) -> Iterator[Reason]:
    """Say whose verdicts could too often not be read."""
    for signal in signals:
        details = signal.details or {}
        unparsed, verdicts = details.get("unparsed", 0), details.get("verdicts", 0)
        if signal.signal == "judge" and unparsed > MOST_UNPARSED * verdicts:
            text = (
                f"{unparsed} of {verdicts} verdicts of {signal.name} could not be read: the win "
                f"rate is between {100 * details['worst']:.1f} and {100 * details['best']:.1f} %"
            )
            names = ("unparsed", "verdicts", "worst", "best")
            yield Reason(
                "unread", text, _figures(signal, **{name: details[name] for name in names})
            )


def _open(main: Signal, signals: Sequence[Signal]) -> Iterator[Reason]:
    """Say why the signal that counts most does not decide."""
    found = f"{_source(main)}, {shown(main)}"
    details = main.details or {}
    if not main.is_defined:
        found += _position(main, signals)
        yield Reason("too_few", f"too little to say anything: {found}", _figures(main))
    elif details.get("gained") == details.get("lost") == 0:
        text = f"no prompt is right with one model and wrong with the other: {found}"
        yield Reason("no_change", text, _figures(main))
    elif not _is_above(main):
        null = "one half" if main.unit == "share" else "0"
        what = "win rate" if main.unit == "share" else "change"
        text = f"the interval of the {what} includes {null}: {found}"
        yield Reason("undecided", text, _figures(main))


def _figures(signal: Signal, **more: object) -> JsonObject:
    names = ("signal", "name", "model", "against", "estimate", "low", "high", "unit")
    return {**{name: getattr(signal, name) for name in names}, **more}


def _position(main: Signal, signals: Sequence[Signal]) -> str:
    """Say how far verdicts follow the order, where they are all that is known."""
    for signal in signals:
        first = (signal.details or {}).get("first_wins")
        if signal.signal == "judge" and signal.name == main.name and first is not None:
            same = (signal.details or {}).get("consistency") or 0.0
            return (
                f"; {100 * same:.0f} % of verdicts are the same in both orders, and the answer "
                f"shown first wins {100 * first:.0f} %"
            )
    return ""


def _is_above(signal: Signal) -> bool:
    return signal.is_defined and signal.low is not None and signal.low > null_of(signal)


def _needed(signal: Signal) -> Needed:
    error = (signal.details or {}).get("standard_error")
    found = None
    if signal.estimate is not None and error:
        interval = Interval(signal.low or 0.0, signal.high or 0.0)
        estimate = Estimate(
            signal.estimate, interval, error, signal.n, signal.clusters, signal.level, ""
        )
        found = needed(estimate, null_of(signal))
    total, more = (None, None) if found is None else (found.total, found.more)
    return Needed(signal.signal, signal.name, signal.model, total, more)


def _how_many(more: int, signal: Signal) -> str:
    unit = "labels" if signal.signal in _PEOPLE else "prompts"
    if more > _FAR:
        return f"{_FAR:,} more {unit} would hardly decide, if it stays as it is"
    return f"about {more:,} more {unit} would decide, if it stays as it is"


def _compared(signal: Signal, code: str, relation: str, end: str = "") -> Reason:
    model, against = called(signal.model), called(signal.against or "")
    text = f"{model} {relation} {against}{end}: {_source(signal)}, {shown(signal)}"
    return Reason(code, text, _figures(signal))


def _source(signal: Signal) -> str:
    return f"{signal.signal} {signal.name}".strip()


def called(name: str) -> str:
    """Return a model's name as it stands in a sentence."""
    return f"the {name}" if name in ("model", "baseline") else name
