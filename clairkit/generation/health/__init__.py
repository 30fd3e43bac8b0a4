"""The health of a reviser: good answers left alone, planted faults mended, the same each time."""

from clairkit.generation.health.card import Finding, HealthCard
from clairkit.generation.health.cases import Case, make_cases
from clairkit.generation.health.findings import make_card
from clairkit.generation.health.observing import Seen, observe
from clairkit.generation.health.planting import PLANTERS, Fault, plant
from clairkit.generation.health.render import Table, remarks, spent_text, tables, to_markdown
from clairkit.generation.health.run import ProbeResult, run_probe
from clairkit.generation.health.settings import ProbeSettings, Thresholds

__all__ = [
    "PLANTERS",
    "Case",
    "Fault",
    "Finding",
    "HealthCard",
    "ProbeResult",
    "ProbeSettings",
    "Seen",
    "Table",
    "Thresholds",
    "make_card",
    "make_cases",
    "observe",
    "plant",
    "remarks",
    "run_probe",
    "spent_text",
    "tables",
    "to_markdown",
]
