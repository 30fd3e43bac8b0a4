"""The model that ships: small, whole, good at sums, and careless of the house rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from clairkit.quickstart import MODEL
from clairkit.quickstart.stations import QuickstartPlan, Skills, measure, write_prompts

# Measured on 400 prompts: 22 %; the band is four standard errors at 160 prompts wide.
BASE_KPI = (0.09, 0.35)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Skills:
    folder: Path = tmp_path_factory.mktemp("base")
    plan = QuickstartPlan(prompts=1, held_out=160)
    write_prompts(plan, folder)
    return measure(plan, folder, plan.model)


def test_it_fits_into_the_package() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) < 6_000_000


def test_the_base_kpi_lies_in_its_band(base: Skills) -> None:
    assert BASE_KPI[0] < base.bills.share < BASE_KPI[1]


def test_it_reckons_well_and_breaks_the_house_rules(base: Skills) -> None:
    parts = base.parts()
    assert parts["sums_right"] > 0.95
    assert 0.45 < parts["unit_missing"] < 0.85
    assert 0.22 < parts["closing_missing"] < 0.58


def test_it_has_the_guard_skill(base: Skills) -> None:
    assert base.sums.share > 0.97
    assert base.sums.cut == base.bills.cut == 0
