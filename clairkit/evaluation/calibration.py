"""Find the rubric or template that agrees with people, from few labels, if one does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clairkit.engine.driver import run_works
from clairkit.engine.progress import ProgressHook
from clairkit.engine.replay import Open, replay
from clairkit.errors import ClairError, DataError, EvidenceError, UsageError
from clairkit.evaluation.agreement import Cases, choose
from clairkit.evaluation.choice import Choice
from clairkit.evaluation.contenders import Contender
from clairkit.journal.results import Journal, Usage, journal_path
from clairkit.labels.label_files import Label
from clairkit.models.budget import Budget, ReachedCap
from clairkit.records import atomic_write, check_output
from clairkit.records.json_types import JsonObject

_SETTINGS = {"command": "calibrate"}
FEWEST = 20
"""Fewer labels than this tell nothing apart."""


@dataclass(frozen=True)
class Calibration:
    """What the labels say.

    Attributes:
        choice: None when the run was stopped before all was asked.
        labels: how many.
        prompts: how many different ones they are of.
        positives: how many labels say accept, or A.
        usage: what all replies so far took, those of earlier runs included.
        open: calls that are still to be made, as far as is known; then `stop` is the error that
            ended the run, or `signal` the signal, or `reached` the cap on calls or cost that did.
    """

    choice: Choice | None
    labels: int
    prompts: int
    positives: int
    usage: Usage
    open: int = 0
    stop: ClairError | None = None
    signal: int | None = None
    reached: ReachedCap | None = None

    def to_json(self) -> JsonObject:
        """Return it as JSON has it."""
        choice = {"chosen": None} if self.choice is None else self.choice.to_json()
        tokens = {"prompt": self.usage.prompt_tokens, "completion": self.usage.completion_tokens}
        return {
            "labels": self.labels,
            "prompts": self.prompts,
            "positives": self.positives,
            "calls": self.usage.calls,
            "tokens": tokens,
            "open": self.open,
            **choice,
        }


def calibrate(
    labels: Sequence[Label],
    contenders: Sequence[Contender],
    output: str | os.PathLike[str],
    *,
    max_calls: int | None = None,
    force: bool = False,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
) -> Calibration:
    """Score all labels by all contenders, and compare them by their agreement with the labels.

    The journal beside the output has every reply: the same call after an interruption goes on
    where it stopped, and a further contender or label costs its own calls only.

    Args:
        labels: of one form.
        contenders: with names of their own.
        output: the JSON file to write.
        max_calls: the most calls of models, those of earlier runs of this output included.
        force: replace an output that has no journal.
        progress: called after each result.
        say: told remarks for the user.

    Raises:
        UsageError: there is no contender, two have the same name, or the output is not to be
            replaced or belongs to another command.
        DataError: the labels are of two forms.
        EvidenceError: there are fewer than 20 labels, or all say the same.
        ResourceError: the disk is not to be had.
    """
    cases = _cases(labels, contenders)
    known = journal_path(Path(os.path.realpath(output))).exists()
    path = check_output(output, force=force or known)
    with closing(Journal(path)) as journal:
        if journal.meta("settings") not in (None, _SETTINGS):
            raise UsageError(
                "the journal beside the output belongs to another command",
                received=str(output),
                remedy="choose another output",
            )
        journal.settle(_SETTINGS, force=False)
        budget = Budget(max_calls, journal.usage().calls)
        works = [partial(each.score, label) for each in contenders for label in labels]
        run_works(works, journal, budget, progress=progress, say=say, total=len(works))
        found = _found(cases, labels, contenders, journal, budget)
    if found.choice is not None:
        with atomic_write(path) as file:
            file.write(json.dumps(found.to_json(), ensure_ascii=False, indent=2).encode() + b"\n")
    return found


def _found(
    cases: Cases,
    labels: Sequence[Label],
    contenders: Sequence[Contender],
    journal: Journal,
    budget: Budget,
) -> Calibration:
    scores: dict[str, list[float | None]] = {each.name: [] for each in contenders}
    unasked = 0
    for each in contenders:
        for label in labels:
            found = replay(partial(each.score, label), journal)
            if isinstance(found, Open):
                unasked += len(found.calls)
            else:
                scores[each.name].append(found)
    return Calibration(
        choice=None if unasked else choose(cases, scores),
        labels=len(labels),
        prompts=len(set(cases.groups)),
        positives=sum(cases.positives),
        usage=journal.usage(),
        open=unasked,
        stop=budget.error,
        signal=budget.signal,
        reached=budget.reached,
    )


def _cases(labels: Sequence[Label], contenders: Sequence[Contender]) -> Cases:
    names = [each.name for each in contenders]
    if not names or len(set(names)) < len(names):
        raise UsageError("contenders need names of their own", received=", ".join(names))
    if len({label.form for label in labels}) > 1:
        raise DataError(
            "labels on one revision and on two are mixed",
            remedy="calibrate with one kind at a time",
        )
    if len(labels) < FEWEST:
        raise EvidenceError(
            f"at least {FEWEST} labels are needed",
            received=len(labels),
            remedy="label more revisions",
        )
    positives = [label.is_positive for label in labels]
    if len(set(positives)) < 2:
        raise EvidenceError(
            "all labels say the same, so that nothing can be told apart",
            remedy="label some of the other kind, too; of A and B, draw which is shown first",
        )
    return Cases(positives, [label.prompt for label in labels], labels[0].form == "accepted")
