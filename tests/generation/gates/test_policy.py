"""`--gate REASON=ACTION`: what it accepts, and what it says of the rest."""

from __future__ import annotations

import pickle

import pytest

from clairkit.errors import UsageError
from clairkit.generation.gates import DEFAULTS, GatePolicy


def test_options_are_read_and_the_later_one_counts() -> None:
    policy = GatePolicy.parse(["meta-leak=flag", " new_claims = drop ", "meta_leak=keep"])
    assert policy.actions["meta_leak"] == "keep"
    assert policy.actions["new_claims"] == "drop"
    assert policy.actions["refusal"] == DEFAULTS["refusal"]


def test_equal_policies_are_equal_however_they_are_written() -> None:
    assert GatePolicy() == GatePolicy.parse([]) == GatePolicy.parse(["refusal=drop"])
    assert GatePolicy() != GatePolicy.parse(["refusal=flag"])


def test_a_policy_can_be_sent_to_other_processes() -> None:
    policy = GatePolicy.parse(["refusal=flag"])
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_settings_name_every_gate() -> None:
    settings = GatePolicy.parse(["refusal=keep"]).settings()
    assert settings == {f"gate.{name}": DEFAULTS[name] for name in DEFAULTS} | {
        "gate.refusal": "keep"
    }


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("refusal", "write it as REASON=drop"),
        ("refusals=drop", "did you mean refusal"),
        ("parse_error=keep", "Known are no_op"),
        ("refusal=stop", "use drop, flag or keep"),
        ("refusal=", "use drop, flag or keep"),
        ("no_op=keep", "two equal sides"),
        ("=drop", "no such gate"),
    ],
)
def test_a_bad_option_names_the_remedy(option: str, words: str) -> None:
    with pytest.raises(UsageError) as info:
        GatePolicy.parse([option])
    assert words.lower() in str(info.value).lower()


def test_actions_given_in_python_are_checked_too() -> None:
    with pytest.raises(UsageError, match="Did you mean meta_leak"):
        GatePolicy({"meta_leek": "drop"})
