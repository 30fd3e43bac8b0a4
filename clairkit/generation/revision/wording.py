"""Read what a reviser is asked, by language."""

from __future__ import annotations

from clairkit.records.json_types import JsonMapping
from clairkit.texts import texts


def wording(language: str) -> JsonMapping:
    """Return the texts of a language, see `texts/en.yaml`.

    Raises:
        UsageError: there is no such language.
    """
    return texts("generation/revision/texts", language)


def request_text(language: str, form: str, *, worsen: bool) -> str:
    """Return the request of a form (`rewrite`, `edits`) as a template's text."""
    words = wording(language)
    goal, asked = words["worsen" if worsen else "improve"], words[form]
    rules = [asked["rules"], words["rules"], *([] if worsen else [asked["no_change"]])]
    parts = [goal["task"], words["measure"], goal["think"], "\n".join(rules)]
    return "\n\n".join([*parts, words["material"], asked["form"]])
