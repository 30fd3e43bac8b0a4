"""What became of a fault, and of the text around it."""

from __future__ import annotations

import pytest

from clairkit.probe.fault_injection import PlantedFault, plant
from clairkit.probe.fault_repair import collateral, repair

NUMBER = PlantedFault("number", "It costs 1,250 euros.", "It costs 7,250 euros.", "1,250", "7,250")
NEGATION = PlantedFault(
    "negation",
    "The shop is open today.",
    "The shop is not open today.",
    "shop is open",
    "shop is not open",
)
CODE = PlantedFault(
    "code",
    "```\nif a <= b:\n    go()\n```",
    "```\nif a < b:\n    go()\n```",
    "if a <= b:",
    "if a < b:",
)
URL = PlantedFault(
    "url", "At https://a.org/x.", "At htps://a.org/x.", "https://a.org/x", "htps://a.org/x"
)
STEP = PlantedFault(
    "step",
    "1. Open the lid.\n2. Remove the used filter.\n3. Put the new filter in.\n4. Close it.",
    "1. Open the lid.\n2. Put the new filter in.\n3. Close it.",
    "Remove the used filter.",
    "",
)


@pytest.mark.parametrize(
    ("fault", "revision", "expected"),
    [
        (NUMBER, "The price is 1250 euros, not less.", "fixed"),
        (NUMBER, "It costs EUR 1,250.", "fixed"),
        (NUMBER, "It costs 7250 euros.", "missed"),
        (NUMBER, "It costs about 1,300 euros.", "changed"),
        (NUMBER, "It costs 11,250 euros.", "changed"),  # another number that holds the right one
        (NEGATION, "Our shop is open all day.", "fixed"),
        (NEGATION, "The shop isn't open today.", "missed"),
        (NEGATION, "The shop opened today.", "changed"),
        (CODE, "```\n  if a <= b:\n    go()\n```", "fixed"),
        (CODE, "```\nif a < b:\n    stop()\n```", "missed"),
        (CODE, "```\nif not a > b:\n    go()\n```", "changed"),
        (URL, "See https://a.org/x.", "fixed"),
        (URL, "See htps://a.org/x.", "missed"),
        (URL, "See our site.", "changed"),
        (
            STEP,
            "1. Open the lid.\n2. Take the old, used filter out.\n3. Put the new filter in.\n"
            "4. Close it.",
            "fixed",
        ),
        (STEP, "1. Open the lid.\n2. Put the new filter in firmly.\n3. Close it.", "missed"),
        (
            STEP,
            "1. Open the lid and remove the used filter.\n2. Put the new filter in.\n3. Close it.",
            "changed",
        ),
        (STEP, "1. Open it.\n2. Sing.\n3. Put the new filter in.\n4. Close it.", "changed"),
    ],
)
def test_mending(fault: PlantedFault, revision: str, expected: str) -> None:
    assert repair(fault, revision) == expected


def test_a_dropped_step_in_japanese() -> None:
    answer = "1. 鍋に水を入れます。\n2. 米を丁寧に研ぎます。\n3. 火にかけます。\n4. 蒸らします。"
    fault = next(
        fault
        for seed in range(9)
        if (fault := plant("step", answer, seed=seed)) and "米" in fault.right
    )
    again = "1. 鍋に水を入れます。\n2. 米をよく研ぎます。\n3. 火にかけます。\n4. 蒸らします。"
    assert repair(fault, again) == "fixed"


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ("It costs 1,250 euros.", 0.0),
        ("It costs 7,250 euros.", 0.0),
        ("It costs 9,999 euros.", 0.0),  # another number in its place is no other change
        # One grapheme is new; beside the number stand 16 and 17.
        ("It costs 1,250 euros!.", 1 / 33),
        ("It costs 7,250 euros!.", 1 / 33),
        ("It costs 9,999 euros!.", 1 / 33),
        # Eight are gone, and 16 and 8 stand beside the number.
        ("It costs 1,250", 7 / 25),
        # All 16 are gone, nothing is new but what stands in the place of the whole.
        ("Ü", 1.0),
    ],
)
def test_collateral(revision: str, expected: float) -> None:
    assert collateral(NUMBER, revision) == pytest.approx(expected)


def test_renumbering_the_steps_is_part_of_the_mending() -> None:
    assert collateral(STEP, STEP.original) == 0
    louder = STEP.original.replace("Close it.", "Close it!")
    assert collateral(STEP, louder) == pytest.approx(2 / 100)
