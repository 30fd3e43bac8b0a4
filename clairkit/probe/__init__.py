"""Probe a reviser's health: good answers left alone, planted faults mended, each time alike."""

from clairkit.probe.cases import ProbeCase, ProbeSettings, Thresholds, make_cases
from clairkit.probe.fault_injection import PLANTERS, PlantedFault, plant
from clairkit.probe.findings import HealthCard, ProbeFinding, make_card
from clairkit.probe.observe import Observation, observe
from clairkit.probe.render import Table, remarks, spent_text, tables, to_markdown
from clairkit.probe.run import ProbeResult, run_probe

__all__ = [
    "PLANTERS",
    "HealthCard",
    "Observation",
    "PlantedFault",
    "ProbeCase",
    "ProbeFinding",
    "ProbeResult",
    "ProbeSettings",
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
