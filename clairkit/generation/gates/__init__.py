"""Check revisions by quality gates, each of which gives a detail, or None when it passes.

The gates look at texts alone: they cost no call, and another policy on the same journal asks no
model again. What is in a language without phrases they let pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from clairkit.generation.gates import claims, damage, wording
from clairkit.generation.gates.case import Check, GateCase
from clairkit.generation.gates.policy import DEFAULTS, Action, GatePolicy
from clairkit.generation.gates.wording import is_refusal
from clairkit.generation.revision.parser import Revision
from clairkit.models.sampling import Failure
from clairkit.records import Message

__all__ = ["DEFAULTS", "GATES", "Action", "Flag", "GatePolicy", "Verdict", "check", "is_refusal"]

GATES: dict[str, Check] = {
    "no_op": damage.no_op,
    "refusal": wording.refusal,
    "refusal_flipped": wording.refusal_flipped,
    "marker_leak": wording.marker_leak,
    "meta_leak": wording.meta_leak,
    "elided": wording.elided,
    "language_change": damage.language_change,
    "fence_broken": damage.fence_broken,
    "truncated": damage.truncated,
    "revision_mentioned": wording.revision_mentioned,
    "length_inflation": damage.length_inflation,
    "numbers_changed": claims.numbers_changed,
    "urls_changed": claims.urls_changed,
    "new_claims": claims.new_claims,
    "injection_suspect": wording.injection_suspect,
}
"""By reason code, in the order in which they are asked."""


@dataclass(frozen=True)
class Flag:
    """What a gate found in a revision that is kept."""

    reason: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """Return the flag as it stands in a pair's `provenance["flags"]`."""
        return {"reason": self.reason, "detail": self.detail}


@dataclass(frozen=True)
class Verdict:
    """What the gates say of a revision: why it is dropped, or the flags it is kept with."""

    failure: Failure | None
    flags: tuple[Flag, ...] = ()


def check(
    prompt: tuple[Message, ...],
    answer: str,
    revision: Revision,
    *,
    policy: GatePolicy,
    language: str | None = None,
) -> Verdict:
    """Return what the gates say of a revision; the first that drops it ends the search.

    Args:
        prompt: the conversation that was answered.
        answer: the target's answer.
        revision: what the reviser made of it, and why.
        policy: what each gate does.
        language: what the revision must be in (`en`, `ja`, …); None takes that of the answer.
    """
    case = GateCase(tuple(prompt), answer, revision.text, revision.rationale, language)
    flags: list[Flag] = []
    for reason, gate in GATES.items():
        action = policy.actions[reason]
        detail = None if action == "keep" else gate(case)
        if detail is None:
            continue
        if action == "drop":
            return Verdict(Failure(reason, detail, revision.text))
        flags.append(Flag(reason, detail))
    return Verdict(None, tuple(flags))
