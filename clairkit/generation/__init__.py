"""Answers and their minimal revisions: models, templates, the journal and the engine."""

from clairkit.generation.engine import BuildResult, BuildSettings, build_pairs
from clairkit.generation.gates import GatePolicy
from clairkit.generation.prices import Price, Prices
from clairkit.generation.requests import AnswerRequest, JudgeRequest, ReviseRequest
from clairkit.generation.revise import ReviseSettings
from clairkit.generation.sampling import Failure, Reply, Sampling
from clairkit.generation.specs import ModelOptions

__all__ = [
    "AnswerRequest",
    "BuildResult",
    "BuildSettings",
    "Failure",
    "GatePolicy",
    "JudgeRequest",
    "ModelOptions",
    "Price",
    "Prices",
    "Reply",
    "ReviseRequest",
    "ReviseSettings",
    "Sampling",
    "build_pairs",
]
