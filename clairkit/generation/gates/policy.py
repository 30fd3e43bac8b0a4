"""Choose what is done when a gate stops a revision: drop it, flag it, or keep it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from clairkit.errors import UsageError, suggest

Action = Literal["drop", "flag", "keep"]
ACTIONS: tuple[Action, ...] = get_args(Action)

DEFAULTS: Mapping[str, Action] = MappingProxyType(
    {
        "no_op": "drop",
        "refusal": "drop",
        "refusal_flipped": "drop",
        "marker_leak": "drop",
        "meta_leak": "drop",
        "elided": "drop",
        "language_change": "drop",
        "fence_broken": "drop",
        "truncated": "drop",
        "revision_mentioned": "flag",
        "length_inflation": "flag",
        "numbers_changed": "flag",
        "urls_changed": "flag",
        "new_claims": "flag",
        "injection_suspect": "flag",
    }
)
"""The actions by reason code: damage drops; what a good revision may also do is flagged."""

_FIXED = "no_op"  # equal sides are no pair, whatever the policy


@dataclass(frozen=True)
class GatePolicy:
    """The action of each gate.

    Raises:
        UsageError: a gate or an action is unknown, or `no_op` is not to be dropped.
    """

    actions: Mapping[str, Action] = field(default_factory=dict)
    """By reason code: given is what differs from `DEFAULTS`."""

    def __post_init__(self) -> None:
        for reason, action in self.actions.items():
            _check(reason, action)
        object.__setattr__(self, "actions", {**DEFAULTS, **self.actions})

    @classmethod
    def parse(cls, texts: Iterable[str]) -> GatePolicy:
        """Return the policy of `--gate REASON=drop|flag|keep` options; of two the later counts.

        Raises:
            UsageError: an option is not of that form, or names what is unknown.
        """
        actions: dict[str, Action] = {}
        for text in texts:
            reason, sign, action = (part.strip() for part in text.partition("="))
            if not sign:
                remedy = "write it as REASON=drop, REASON=flag or REASON=keep"
                raise UsageError("a gate needs its action", received=text, remedy=remedy)
            reason = reason.replace("-", "_")
            actions[reason] = _check(reason, action)
        return cls(actions)

    def settings(self) -> dict[str, str]:
        """Return the actions as the journal compares them, flat."""
        return {f"gate.{reason}": action for reason, action in self.actions.items()}


def _check(reason: str, action: str) -> Action:
    if reason not in DEFAULTS:
        remedy = f"{suggest(reason, DEFAULTS)}Known are {', '.join(DEFAULTS)}"
        raise UsageError("no such gate", received=reason, remedy=remedy)
    known = next((known for known in ACTIONS if known == action), None)
    if known is None:
        raise UsageError(
            f"no such action for the gate {reason}",
            received=action,
            remedy=f"use {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}",
        )
    if reason == _FIXED and known != "drop":
        raise UsageError(
            f"{_FIXED} can only be dropped",
            received=action,
            remedy="two equal sides hold no preference",
        )
    return known
