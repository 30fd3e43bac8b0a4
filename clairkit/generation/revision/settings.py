"""Say how a reviser is asked, and what its revisions are held to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from clairkit.errors import UsageError
from clairkit.generation.revision.reply_forms import FORMS
from clairkit.generation.revision.templates import EDITS, Goal, Template, load_template
from clairkit.judging.rubrics import load_rubric
from clairkit.models.requests import Model


@dataclass(frozen=True)
class ReviseSettings:
    """How a reviser is asked, and what its revisions are held to.

    Raises:
        UsageError: a value is out of range, or two do not go together.
        DataError: a template's or rubric's file can't be read.
    """

    form: str = ""
    """Of the reply: `rewrite` (the whole answer again) or `edits`; that of the template when
    empty, and `rewrite` when there is no template either."""
    template: str | Template | None = None
    """A built-in template's name, a file, or a template; None is the one of the form."""
    rubric: str | None = None
    """What counts: built-in names or files, joined by commas; None is `general`."""
    language: str = "en"
    """Of the request: `en` or `ja`. The answers may be in any language."""
    length_neutral: bool = False
    """Revisions are to be as long as their answers, within `reply_forms.LENGTH_TOLERANCE`."""
    worsen: bool = False
    """Answers are made worse: the answer is then the chosen side, the revision the rejected."""
    max_edit_share: float | None = None
    """The largest share of units in edit spans, above 0 and at most 1, on either side of a pair:
    the larger of the scores `edit_share_chosen` and `edit_share_rejected`."""
    asks: int = 2
    """How often one answer is asked for at most, the first time included."""
    tokenizer: str | None = None
    """Whose tokens are the units (a folder or Hub id); None counts grapheme clusters."""

    def __post_init__(self) -> None:
        if self.asks < 1:
            raise UsageError("asks must be at least 1", received=self.asks)
        if self.max_edit_share is not None and not 0 < self.max_edit_share <= 1:
            raise UsageError(
                "max_edit_share is out of range",
                received=self.max_edit_share,
                remedy="use a share above 0 and at most 1",
            )
        if self.form not in ("", *FORMS):
            raise UsageError(
                "no such form of revision",
                received=self.form,
                remedy=f"use one of {', '.join(FORMS)}",
            )
        if self.form and self.form != self.request.form:
            raise UsageError(
                f"template {self.request.name} asks for the form {self.request.form}",
                received=self.form,
                remedy="leave out --revision, or use a template of that form",
            )
        object.__setattr__(self, "form", self.request.form)

    @cached_property
    def request(self) -> Template:
        """Return the template that requests are made of.

        Raises:
            UsageError: a rubric or a length is given besides a template that is made already.
        """
        if not isinstance(self.template, Template):
            name = self.template or ("edits" if self.form == EDITS else "clair")
            goal = Goal(self.language, self.rubric, self.length_neutral, self.worsen)
            return load_template(name, goal=goal)
        if self.rubric is not None or self.length_neutral:
            raise UsageError(
                "a template that is made already takes no rubric and no length",
                remedy="give them to the template",
            )
        return self.template

    def check_reviser(self, reviser: Model) -> None:
        """Refuse settings of the request text, which a function is not sent.

        Raises:
            UsageError: the reviser is a function, and such a setting was given.
        """
        given = {
            "--revision": self.form == EDITS,
            "--template": self.template not in (None, "clair"),
            "--rubric": self.rubric is not None,
            "--language": self.language != "en",
        }
        names = [name for name, is_given in given.items() if is_given]
        if reviser.is_function and names:
            raise UsageError(
                f"{', '.join(names)}: no effect with a function",
                received=reviser.name,
                remedy="leave that out",
            )

    def settings(self, *, for_function: bool = False) -> dict[str, object]:
        """Return what may not change from one run to the next on the same output; flat.

        Args:
            for_function: a function is asked without a template, and once.
        """
        if for_function:
            return self._limits()
        template = {"template": f"{self.request.name} ({self.request.hash})"}
        return {
            "revision": self.form,
            **template,
            **self._goal,
            **self._limits(),
            "asks": self.asks,
        }

    def provenance(self, *, for_function: bool = False) -> dict[str, object]:
        """Return what a pair's provenance says of how it was asked for."""
        if for_function:
            return self._limits()
        template = {"name": self.request.name, "hash": self.request.hash}
        return {"revision": self.form, "template": template, **self._goal, **self._limits()}

    @cached_property
    def _goal(self) -> dict[str, object]:
        rubric = {} if self.rubric is None else {"rubric": load_rubric(self.rubric).name}
        return {"language": self.language, **rubric}

    def _limits(self) -> dict[str, object]:
        values = {
            "worsen": self.worsen or None,
            "length_neutral": self.length_neutral or None,
            "max_edit_share": self.max_edit_share,
            "edit_share_tokenizer": self.tokenizer,
        }
        return {name: value for name, value in values.items() if value is not None}
