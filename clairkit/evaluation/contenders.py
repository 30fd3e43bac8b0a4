"""Make contenders of rubrics and templates: programs that score labelled revisions.

A rubric is tried by a judge: does it prefer the revision to its answer, or A to B? A template is
tried by the reviser: a revision that people accept should be left as it is, and of two the better
one should need the smaller change.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from clairkit.engine.program import Call
from clairkit.errors import UsageError
from clairkit.generation.revision.revise import revise
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.journal.results import Recorded
from clairkit.judging.judge import Judge
from clairkit.judging.rubrics import load_rubric
from clairkit.labels.label_files import Label
from clairkit.models.requests import Model
from clairkit.models.sampling import Failure, Sampling
from clairkit.scoring import score_pair
from clairkit.scoring.units import same_text

Scoring = Generator[Sequence[Call], Sequence[Recorded], float | None]


class Contender(Protocol):
    """What is compared: it gives a score to a label, without seeing what the label says."""

    @property
    def name(self) -> str:
        """As the user calls it."""

    def score(self, label: Label) -> Scoring:
        """Return the program that scores a label: higher speaks for accept, or for A."""


@dataclass(frozen=True)
class TriedRubric:
    """A rubric in the hands of a judge: the score is 1, 0.5, 0, -0.5 or -1 for the first text."""

    name: str
    judge: Judge

    def score(self, label: Label) -> Scoring:
        """Ask the judge in both orders."""
        pairs = [(label.first, label.second)]
        (found,) = yield from self.judge.compare(label.row, pairs, stage=0)
        return None if found.failure is not None else found.score


@dataclass(frozen=True)
class TriedTemplate:
    """A template in the hands of a reviser: how little it would change a text.

    The score of a revision is minus the share of it that is changed; that of A and B is how much
    more of B is changed.
    """

    name: str
    reviser: Model
    settings: ReviseSettings
    sampling: Sampling

    def score(self, label: Label) -> Scoring:
        """Let the reviser revise the labelled revision, or both A and B."""
        first = yield from self._changed(label, label.first)
        if first is None or label.form == "accepted":
            return None if first is None else -first
        second = yield from self._changed(label, label.second)
        return None if second is None else second - first

    def _changed(self, label: Label, text: str) -> Scoring:
        revised = yield from revise(
            label.row,
            text,
            reviser=self.reviser,
            settings=self.settings,
            sampling=self.sampling,
            stage=0,
        )
        found = revised.revision
        if isinstance(found, Failure):
            return 0.0 if found.reason == "no_op" else None  # a function that returned None
        if same_text(text, found.text):
            return 0.0
        scores = score_pair("", found.text, text)
        return max(scores.edit_share_chosen, scores.edit_share_rejected)


@dataclass(frozen=True)
class Trial:
    """Who tries what.

    Attributes:
        judge: tries rubrics.
        reviser: tries templates, and rubrics when there is no judge.
        language: of the requests.
        seed: of the sampling, which is greedy.

    Raises:
        UsageError: a model is a function, which is told neither rubric nor template.
    """

    judge: Model | None = None
    reviser: Model | None = None
    language: str = "en"
    seed: int = 0

    def __post_init__(self) -> None:
        for model in (self.judge, self.reviser):
            if model is not None and model.is_function:
                raise UsageError(
                    "a function is told neither rubric nor template",
                    received=model.name,
                    remedy="give a model",
                )

    def contenders(self, rubrics: Sequence[str], templates: Sequence[str]) -> Iterator[Contender]:
        """Yield a contender for each rubric and template, by name or file.

        Raises:
            UsageError: there is no model to try it, or no such rubric or template.
            DataError: a file can't be read.
        """
        for name in rubrics:
            yield self._rubric(name)
        for name in templates:
            settings = ReviseSettings(template=name, language=self.language)
            yield self._tried(f"template {name}", settings)

    def _rubric(self, name: str) -> Contender:
        if self.judge is None:
            settings = ReviseSettings(rubric=name, language=self.language)
            return self._tried(f"rubric {name}", settings)
        sampling = Sampling(temperature=0.0, max_new_tokens=1024, seed=self.seed)
        rubric = load_rubric(name, self.language)
        return TriedRubric(
            f"rubric {name}", Judge(self.judge, sampling, rubric.text, self.language)
        )

    def _tried(self, name: str, settings: ReviseSettings) -> Contender:
        if self.reviser is None:
            raise UsageError(
                f"there is no model to try the {name}",
                remedy="give --reviser, or for rubrics --judge",
            )
        sampling = Sampling(temperature=0.0, max_new_tokens=4096, seed=self.seed)
        return TriedTemplate(name, self.reviser, settings, sampling)
