"""Set how a probe is made, and what a healthy reviser reaches."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from clairkit.errors import UsageError


@dataclass(frozen=True)
class Thresholds:
    """What a healthy reviser reaches; each is a lowest share.

    A share passes when its whole interval lies at or above the threshold, and fails when its
    whole interval lies below. The defaults are what the built-in answers can show with few
    errors: with all 12 Japanese ones untouched, say, the interval begins at 0.76.

    Raises:
        UsageError: one is not in [0, 1].
    """

    usable: float = 0.8
    """Replies that a run would take. What can't be read, or a gate drops, is paid for and lost."""
    untouched: float = 0.75
    """Good answers that come back as they are. A reviser that touches these teaches style."""
    fixed: float = 0.6
    """Planted faults that are mended."""
    careful: float = 0.7
    """Of the answers with a fault in which anything was changed: at most 2 % of the text around
    the fault was."""
    steady: float = 0.5
    """Answers whose repeated revisions edit mostly the same places."""
    preferred: float = 0.5
    """Revisions that the judge prefers to the answer, in both orders."""
    judge_right: float = 0.7
    """Planted faults that the judge sees, in both orders. A judge that fails has no say."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise UsageError(f"the threshold {name} must lie in [0, 1]", received=value)


@dataclass(frozen=True)
class ProbeSettings:
    """How much a probe asks, and what it wants.

    Raises:
        UsageError: a number is too small.
    """

    rows: int = 20
    """Rows of the prompt file whose answers are not known to be good."""
    repeats: int = 3
    """Revisions of each of these."""
    good: int = 40
    """Good answers at most."""
    faults: int = 10
    """Planted faults of each kind at most."""
    seed: int = 0
    """Another one draws other rows and other places for faults."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """What a healthy reviser reaches."""

    @classmethod
    def of_size(cls, rows: int, *, seed: int = 0) -> ProbeSettings:
        """Return settings that ask more, or less, of everything: in proportion to `rows`.

        Raises:
            UsageError: there are no rows.
        """
        if rows < 1:
            raise UsageError("a probe needs at least one row", received=rows)
        return cls(rows=rows, good=2 * rows, faults=-(-rows // 2), seed=seed)

    def __post_init__(self) -> None:
        for name, least in (("rows", 0), ("repeats", 1), ("good", 1), ("faults", 0)):
            if getattr(self, name) < least:
                problem = f"{name} of a probe must be at least {least}"
                raise UsageError(problem, received=getattr(self, name))
