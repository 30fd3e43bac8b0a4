"""Get an answer revised, as a part of a row's program; ask again where that can help."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from clairkit.engine.program import Call, request_key, row_columns
from clairkit.generation.revision.edits import Edit, EditFault
from clairkit.generation.revision.parser import Revision, cut, without_thought
from clairkit.generation.revision.reply_forms import FORMS, Draft, Unusable, ask_again, over_limits
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.generation.revision.templates import Rendered
from clairkit.journal.results import Recorded
from clairkit.models.requests import Model, ReviseRequest, Task
from clairkit.models.sampling import Failure, Reply, Sampling
from clairkit.records import Message, PromptRow


@dataclass(frozen=True)
class Revised:
    """What became of an answer.

    Attributes:
        revision: the revision, or why there is none.
        recorded: the results of all requests, in order.
        edits: that were applied, in order of place; empty in the form `rewrite`.
    """

    revision: Revision | Failure
    recorded: tuple[Recorded, ...]
    edits: tuple[Edit, ...] = ()


def revise(
    row: PromptRow,
    answer: str,
    *,
    reviser: Model,
    settings: ReviseSettings,
    sampling: Sampling,
    stage: int = 1,
    step: str = "revise",
) -> Generator[Sequence[Call], Sequence[Recorded], Revised]:
    """Ask for a revision of `answer`, and again while the reply can't be used and may get better.

    The step of a second round is `revise.2`, its stage one higher. What is asked again names
    each fault: a mark that is missing, a text to find that is not in the answer or is there more
    than once, edits that overlap, too large a share of edits, a length that changed. A reply
    that was cut, refuses, or failed is not asked for again.

    Args:
        row: holds the prompt that was answered.
        answer: what is to be revised.
        reviser: who is asked.
        settings: how it is asked, and what its revisions are held to.
        sampling: of its replies.
        stage: of the first call, see `clairkit.engine.program.Call`.
        step: of the first call, in the journal.
    """
    asking = _Asking(row, answer, reviser, settings, sampling)
    task = asking.first()
    recorded: list[Recorded] = []
    while True:
        number = len(recorded) + 1
        name = step if number == 1 else f"{step}.{number}"
        (result,) = yield [Call(name, stage + number - 1, reviser, task)]
        recorded.append(result)
        found = asking.read(result)
        if isinstance(found, Draft):
            return Revised(found.revision, tuple(recorded), found.edits)
        if not found.faults or number >= settings.asks or not isinstance(result.outcome, Reply):
            return Revised(found.failure, tuple(recorded))
        task = asking.again(task, result.outcome, found.faults)


@dataclass(frozen=True)
class _Asking:
    """The requests for one answer, and how their replies are read."""

    row: PromptRow
    answer: str
    reviser: Model
    settings: ReviseSettings
    sampling: Sampling

    def first(self) -> Task:
        return self._task({}, self._rendered.messages if self._rendered else ())

    def again(self, before: Task, reply: Reply, faults: Sequence[EditFault]) -> Task:
        assert self._rendered is not None, "a function is asked once"
        marks = self._rendered.marks
        told = ask_again(faults, self.settings.request.language, marks.nonce)
        said = without_thought(reply.text, marks).strip() or reply.text
        turns = (Message(role="assistant", content=said), Message(role="user", content=told))
        return self._task({"after": before.key, "turns": turns}, (*before.messages, *turns))

    def read(self, result: Recorded) -> Draft | Unusable:
        outcome = result.outcome
        if isinstance(outcome, Failure):
            return Unusable(outcome)
        if outcome.is_only_thoughts:
            return Unusable(cut(outcome))
        if self._rendered is None:
            draft: Draft | Unusable = Draft(Revision(outcome.text, outcome.rationale))
        else:
            read = FORMS[self.settings.form]
            draft = read(outcome, self._rendered.marks, self.answer)
        if isinstance(draft, Unusable):
            return draft
        settings = self.settings
        exceeded = list(
            over_limits(
                self.answer,
                draft.revision.text,
                max_edit_share=settings.max_edit_share,
                length_neutral=settings.length_neutral,
                tokenizer=settings.tokenizer,
            )
        )
        if not exceeded:
            return draft
        # A function that is called again says the same.
        faults = () if self._rendered is None else tuple(fault for _, fault in exceeded)
        return Unusable(exceeded[0][0], faults)

    @cached_property
    def _key(self) -> str:
        return self._make_key({})

    @cached_property
    def _rendered(self) -> Rendered | None:
        if self.reviser.is_function:
            return None
        return self.settings.request.render(self.row.prompt, self.answer, self._key)

    def _make_key(self, more: Mapping[str, object]) -> str:
        decides: dict[str, object] = {"prompt": self.row.prompt, "answer": self.answer, **more}
        if not self.reviser.is_function:
            decides["template"] = self.settings.request.hash
        return request_key("revise", self.reviser, decides, row=self.row, sampling=self.sampling)

    def _task(self, more: Mapping[str, object], messages: tuple[Message, ...]) -> Task:
        request = ReviseRequest(self.row.prompt, self.answer, row_columns(self.row))
        key = self._make_key(more) if more else self._key
        return Task(key, messages, request, self.sampling)
