"""What a run does with each row: the requests it makes, their keys, and what decides them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clairkit import __version__
from clairkit.generation.journal import SCHEMA_VERSION
from clairkit.generation.requests import AnswerRequest, Model, ReviseRequest, Task
from clairkit.generation.sampling import Sampling
from clairkit.generation.templates import Rendered, Template
from clairkit.records import PromptRow, digest

ANSWER, REVISE = "answer", "revise"


@dataclass(frozen=True)
class Recipe:
    """The models, the template and the sampling of a run.

    `target` is None when every row has an answer; `template` is unused by a function.
    """

    target: Model | None
    reviser: Model
    template: Template
    answer_sampling: Sampling
    revise_sampling: Sampling

    def answer_task(self, row: PromptRow) -> Task:
        """Return the request for the target's own answer.

        Raises:
            ValueError: the recipe has no target.
        """
        if self.target is None:
            raise ValueError("a recipe without target answers nothing")
        request = AnswerRequest(row.prompt, _row(row))
        key = self._key(ANSWER, self.target, {"prompt": row.prompt}, request.row)
        return Task(key, row.prompt, request, self.answer_sampling)

    def revise_task(self, row: PromptRow, answer: str) -> Task:
        """Return the request for the revision of `answer`."""
        request = ReviseRequest(row.prompt, answer, _row(row))
        key = self.revise_key(row, answer)
        messages = () if self.reviser.is_function else self.render(row, answer, key).messages
        return Task(key, messages, request, self.revise_sampling)

    def revise_key(self, row: PromptRow, answer: str) -> str:
        """Return the key of a row's revision."""
        decides: dict[str, Any] = {"prompt": row.prompt, "answer": answer}
        if not self.reviser.is_function:
            decides["template"] = self._template_hash
        return self._key(REVISE, self.reviser, decides, _row(row))

    def render(self, row: PromptRow, answer: str, key: str) -> Rendered:
        """Return the request's messages, and the marks that its reply must hold."""
        return self.template.render(row.prompt, answer, key)

    def settings(self) -> dict[str, Any]:
        """Return what may not change from one run to the next on the same output."""
        flat: dict[str, Any] = {"method": "clair", "revision": "rewrite"}
        if not self.reviser.is_function:
            flat["template"] = f"{self.template.name} ({self._template_hash})"
        models = (("target", self.target, self.answer_sampling),
                  ("reviser", self.reviser, self.revise_sampling))  # fmt: skip
        for role, model, sampling in models:
            if model is None:
                continue
            flat |= {f"{role}.{name}": value for name, value in model.identity.items()}
            if not model.is_function:
                flat |= {f"{role}.{name}": value for name, value in sampling.to_json().items()}
        return flat

    def provenance(self) -> dict[str, Any]:
        """Return the part of a pair's provenance that all pairs of the run share."""
        shared: dict[str, Any] = {"clairkit": __version__, "reviser": dict(self.reviser.identity)}
        if not self.reviser.is_function:
            shared["template"] = {"name": self.template.name, "hash": self._template_hash}
            shared["sampling"] = self.revise_sampling.to_json()
        return shared

    @cached_property
    def _template_hash(self) -> str:
        return self.template.hash

    def _key(
        self, step: str, model: Model, decides: Mapping[str, Any], row: Mapping[str, Any]
    ) -> str:
        """The digest of all that determines a result; never a path or a row number."""
        sampling = self.answer_sampling if step == ANSWER else self.revise_sampling
        more = {"row": row} if model.is_function else {"sampling": sampling.to_json()}
        return digest(
            {"schema": SCHEMA_VERSION, "step": step, "model": model.identity, **decides, **more}
        )


def _row(row: PromptRow) -> dict[str, Any]:
    """What a function is handed of a row: plain JSON, so that the key can hold it."""
    plain: dict[str, Any] = json.loads(json.dumps({"id": row.id, **row.extra}, default=str))
    return plain
