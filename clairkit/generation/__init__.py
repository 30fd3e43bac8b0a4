"""Answers and their minimal revisions: models, templates, the journal and the engine."""

from clairkit.generation.engine import BuildResult, BuildSettings, build_pairs
from clairkit.generation.requests import AnswerRequest, ReviseRequest
from clairkit.generation.sampling import Failure, Reply, Sampling
from clairkit.generation.specs import ModelOptions

__all__ = [
    "AnswerRequest",
    "BuildResult",
    "BuildSettings",
    "Failure",
    "ModelOptions",
    "Reply",
    "ReviseRequest",
    "Sampling",
    "build_pairs",
]
