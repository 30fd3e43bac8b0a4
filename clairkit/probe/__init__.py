"""The health of a reviser: good answers left alone, planted faults mended, the same each time."""

from clairkit.probe.card import Finding, HealthCard
from clairkit.probe.cases import Case, make_cases
from clairkit.probe.fault_injection import PLANTERS, Fault, plant
from clairkit.probe.findings import make_card
from clairkit.probe.observe import Seen, observe
from clairkit.probe.render import Table, remarks, spent_text, tables, to_markdown
from clairkit.probe.run import ProbeResult, run_probe
from clairkit.probe.settings import ProbeSettings, Thresholds

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
