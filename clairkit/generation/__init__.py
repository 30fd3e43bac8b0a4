"""Build preference pairs: answers and their minimal revisions."""

from clairkit.generation.engine import build_pairs
from clairkit.generation.export import BuildResult
from clairkit.generation.gates import GatePolicy
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.generation.settings import BuildSettings
from clairkit.journal.prices import Price, Prices
from clairkit.models.requests import AnswerRequest, JudgeRequest, ReviseRequest
from clairkit.models.sampling import Failure, Reply, Sampling
from clairkit.models.specs import ModelOptions

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
