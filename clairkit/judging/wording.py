"""What a language has to have to be one that revisers are asked in, and the requests it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """The texts of one language, with the placeholders of the revision templates."""

    improve: str
    """The task: make the answer right."""
    worsen: str
    """The task: make the answer worse."""
    measure: str
    """What the answer is measured by: `{{rubric}}`."""
    think: str
    think_worse: str
    rewrite: str
    """The rules for a whole revision, with `{{length}}`."""
    rewrite_no_change: str
    edits: str
    """The rules for edits, with `{{length}}`."""
    edits_no_change: str
    length: str
    length_neutral: str
    length_worse: str
    material: str
    """Conversation and answer, and that they are data."""
    rewrite_form: str
    edits_form: str
    paper: str
    """The whole request whose reply carries the published markers."""
    rubrics: Mapping[str, str]
    """By name: a list of what counts."""
    again: str
    """Before the faults of a reply that can't be used."""
    again_form: str
    """Behind them."""
    faults: Mapping[str, str]
    """By the code of a fault; with `str.format` fields."""

    def request(self, form: str, *, worsen: bool) -> str:
        """Return the request of a form (`rewrite`, `edits`) as a template's text."""
        is_rewrite = form == "rewrite"
        rules = self.rewrite if is_rewrite else self.edits
        if not worsen:
            rules += "\n" + (self.rewrite_no_change if is_rewrite else self.edits_no_change)
        return "\n\n".join(
            [
                self.worsen if worsen else self.improve,
                self.measure,
                self.think_worse if worsen else self.think,
                rules,
                self.material,
                self.rewrite_form if is_rewrite else self.edits_form,
            ]
        )
