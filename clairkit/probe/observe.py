"""Observe a case by a row program: one revision, and what the judge says of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from clairkit.engine.program import Call
from clairkit.generation.gates import GatePolicy, check
from clairkit.generation.methods.clair import Clair
from clairkit.generation.methods.parts import own_answer
from clairkit.generation.revision.parser import Revision
from clairkit.generation.revision.revise import revise
from clairkit.journal.results import Recorded
from clairkit.judging.judge import Judge, Judgement
from clairkit.models.sampling import Failure
from clairkit.probe.cases import ProbeCase
from clairkit.probe.fault_repair import Repair, collateral, repair
from clairkit.scoring.units import same_text

_SERVER_FAILED = frozenset(("request_failed", "bad_response", "content_type", "unfinished"))


@dataclass(frozen=True)
class Observation:
    """What became of a case.

    Attributes:
        case: what was asked.
        answer: what the reviser was given; None when the target gave no answer.
        revision: what came back, the answer itself when nothing was to be changed; None when
            nothing came that could be read.
        reason: why its row would become no pair; None for a pair.
        judgement: of the original against the answer with the fault; else of the answer against
            its revision. None when nobody was asked.
    """

    case: ProbeCase
    answer: str | None
    revision: str | None
    reason: str | None
    judgement: Judgement | None = None

    @property
    def is_lost(self) -> bool:
        """Return whether the reviser never got to say anything."""
        return self.answer is None or self.reason in _SERVER_FAILED

    @property
    def is_kept(self) -> bool:
        """Return whether a run would take the revision, or find nothing to revise."""
        return self.revision is not None and self.reason in (None, "no_op")

    @cached_property
    def is_untouched(self) -> bool:
        """Return whether nothing but white space or Unicode composition was changed."""
        return self.is_kept and same_text(self.answer or "", self.revision or "")

    @cached_property
    def repair(self) -> Repair | None:
        """Return what became of the planted fault; None without one, or when nothing is kept."""
        fault = self.case.fault if self.is_kept else None
        return None if fault is None else repair(fault, self.revision or "")

    @cached_property
    def collateral(self) -> float | None:
        """Return how much of the text around the fault was changed; None when nothing was."""
        fault = self.case.fault if self.is_kept and not self.is_untouched else None
        return None if fault is None else collateral(fault, self.revision or "")

    def to_json(self) -> dict[str, object]:
        """Return the case as an object of the file of cases."""
        case, judged = self.case, self.judgement
        fault: Mapping[str, object] = {}
        if case.fault is not None:
            kind, right, wrong = case.fault.kind, case.fault.right, case.fault.wrong
            fault = {
                "fault": {"kind": kind, "right": right, "wrong": wrong},
                "mending": self.repair,
                "collateral": self.collateral,
            }
        return {
            "probe": case.probe,
            "row": case.row.id,
            "slice": case.slice,
            "repeat": case.repeat,
            **fault,
            "reason": self.reason,
            "judge": judged and judged.winner,
            "prompt": list(case.row.prompt),
            "answer": self.answer,
            "revision": self.revision,
        }


Observing = Generator[Sequence[Call], Sequence[Recorded], Observation]


def observe(case: ProbeCase, method: Clair, judge: Judge | None) -> Observing:
    """Return the program of a case: what `method` does with a row, and what the judge says of it.

    The judge is asked in both orders, where there is one.
    """
    answered = yield from own_answer(
        case.row, method.target, method.answer_sampling, method.thought_marks
    )
    if isinstance(answered.outcome, Failure):
        return Observation(case, None, None, answered.outcome.reason)
    answer = answered.outcome.text
    row, sampling = case.row, method.revise_sampling
    if case.repeat:
        # A function sees its row and no seed: without this its repeats would be one and the same.
        row = replace(row, extra={**row.extra, "probe_repeat": case.repeat})
        sampling = replace(sampling, seed=sampling.seed + case.repeat)
    revised = yield from revise(
        row, answer, reviser=method.reviser, settings=method.revise, sampling=sampling
    )
    seen = _seen(case, answer, revised.revision, method.gates)
    sides = _sides(seen)
    if judge is None or sides is None:
        return seen
    stage = 1 + method.revise.asks  # above all rounds of the revision
    (judgement,) = yield from judge.compare(case.row, [sides], stage=stage)
    return replace(seen, judgement=judgement)


def _seen(
    case: ProbeCase, answer: str, found: Revision | Failure, gates: GatePolicy
) -> Observation:
    if isinstance(found, Failure):
        return Observation(case, answer, answer if found.reason == "no_op" else None, found.reason)
    failure = check(case.row.prompt, answer, found, policy=gates).failure
    return Observation(case, answer, found.text, None if failure is None else failure.reason)


def _sides(seen: Observation) -> tuple[str, str] | None:
    """Return what the judge compares: original and faulty answer, or answer and revision."""
    fault = seen.case.fault
    if fault is not None:
        return fault.original, fault.text
    if not seen.is_kept or seen.is_untouched or seen.case.repeat:
        return None
    return seen.answer or "", seen.revision or ""
