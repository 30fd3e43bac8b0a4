"""How revisers are asked: what goes together, and what a run and a pair say of it."""

from __future__ import annotations

from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.generation.revision.templates import Template
from clairkit.models.function import PythonModel
from clairkit.models.server.model import OpenAIModel


def test_a_function_is_given_no_wording() -> None:
    function = PythonModel("reviser_functions:shout")
    for options in ({"form": "edits"}, {"rubric": "safe"}, {"language": "ja"}):
        said = "no effect with a function: received 'python:reviser_functions:shout'"
        with pytest.raises(UsageError, match=said):
            ReviseSettings(**options).check_reviser(function)
        ReviseSettings(**options).check_reviser(OpenAIModel("gpt", base_url="http://localhost"))
    ReviseSettings(max_edit_share=0.5, length_neutral=True, worsen=True).check_reviser(function)


def test_settings_are_flat_and_provenance_names_the_template() -> None:
    settings = ReviseSettings(template="edits", rubric="safe,concise", worsen=True)
    template = settings.request
    assert settings.form == "edits"
    assert settings.settings() == {
        "revision": "edits",
        "template": f"edits ({template.hash})",
        "language": "en",
        "rubric": "safe,concise",
        "worsen": True,
        "asks": 2,
    }
    assert settings.provenance()["template"] == {"name": "edits", "hash": template.hash}
    assert settings.settings(for_function=True) == {"worsen": True}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "diff"}, "no such form"),
        ({"form": "edits", "template": "clair"}, "asks for the form rewrite"),
        ({"asks": 0}, "asks must be"),
        ({"max_edit_share": 0.0}, "max_edit_share"),
        ({"max_edit_share": 1.5}, "max_edit_share"),
        ({"language": "fr"}, "no such language"),
        ({"rubric": "concsie"}, "Did you mean concise"),
        ({"template": "clair-paper", "worsen": True}, "makes answers worse"),
        (
            {
                "template": Template(
                    "x", "{{conversation}}{{answer}}{{revision_mark}}{{end_mark}}"
                ),
                "rubric": "safe",
            },
            "takes no rubric",
        ),
    ],
)
def test_settings_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ReviseSettings(**options)
