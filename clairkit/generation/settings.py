"""Hold the settings of `clairkit build-pairs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clairkit.errors import UsageError
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.generation.revision.templates import Template
from clairkit.models.sampling import Sampling
from clairkit.models.specs import ModelOptions

if TYPE_CHECKING:
    from clairkit.generation.gates import GatePolicy
    from clairkit.journal.prices import Prices


@dataclass(frozen=True)
class BuildSettings:
    """How pairs are built. All but `models`, the caps and `prices` is part of the keys."""

    template: str | Template | None = None
    """A built-in template's name, a user's file, or a template; short for `revise.template`."""
    language: str = "en"
    """Of the requests to reviser and judge: `en` or `ja`."""
    answer_sampling: Sampling = field(default_factory=Sampling)
    """As the target is deployed."""
    revise_sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.0, max_new_tokens=4096)
    )
    """The reviser's; its replies hold the reasoning and the whole revision."""
    judge_sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.0, max_new_tokens=1024)
    )
    """The judge's."""
    models: ModelOptions = field(default_factory=ModelOptions)
    """How models given as specs are run."""
    max_calls: int | None = None
    """The most calls of models, those of earlier runs of this output included."""
    max_cost: float | None = None
    """The most that calls may cost, in US$, those of earlier runs of this output included."""
    prices: Prices | None = None
    """What a token costs; None is the built-in table."""
    method: str = "clair"
    """`clair`, `judge-on-policy`, `judge-off-policy` or `stronger-preferred`."""
    revise: ReviseSettings | None = None
    """How the reviser is asked; None takes the defaults, `template` and `language`."""
    gates: GatePolicy | None = None
    """Which faults of a revision drop, flag or keep it; None is the default policy."""
    samples: int = 4
    """Answers a row that `judge-on-policy` lets the target give."""
    candidates: Sequence[str] = ()
    """Specs or prompt-file columns of other models' answers, for `judge-off-policy`."""

    def __post_init__(self) -> None:
        for name, least in (("max_calls", 1), ("samples", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} must be at least {least}", received=value)
        if self.max_cost is not None and not self.max_cost > 0:
            raise UsageError("max_cost must be above 0", received=self.max_cost)
        if self.revise is not None and self.template is not None:
            raise UsageError(
                "a template is given twice",
                received="template, revise.template",
                remedy="give it in `revise`",
            )

    def revise_settings(self) -> ReviseSettings:
        """Return how the reviser is asked."""
        return self.revise or ReviseSettings(template=self.template, language=self.language)
