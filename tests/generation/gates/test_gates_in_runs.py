"""The gates within a run: quarantine file, counts, flags, and another policy without a call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from bad_revisions import BAD
from fake_server import Request, Response, answer_in, completion, serving

from clairkit.errors import UsageError
from clairkit.generation import BuildResult, BuildSettings
from clairkit.generation.gates import DEFAULTS, GatePolicy
from clairkit.records import Message, PromptRow, read_pairs

Build = Callable[..., BuildResult]

SAMPLES = {reason: samples[0] for reason, samples in BAD.items()}  # one a gate
NUMBERED = list(SAMPLES)
ROWS = [
    PromptRow((Message(role="user", content=f"#{number} {sample.prompt}"),), sample.answer, reason)
    for number, (reason, sample) in enumerate(SAMPLES.items())
]
DROPPED = {reason for reason in BAD if DEFAULTS[reason] == "drop"}


def badly_revised(request: Request) -> Response:
    """Revises the row of a gate as that gate must not let pass."""
    nonce, _ = answer_in(request)
    number = re.search(r"#(\d+) ", request.body["messages"][-1]["content"])
    assert number is not None
    revision = SAMPLES[NUMBERED[int(number[1])]].revision
    return completion(
        f"[[reasoning:{nonce}]]\nunclear\n[[revision:{nonce}]]\n{revision}\n[[end:{nonce}]]"
    )


def quarantined(result: BuildResult) -> dict[str, dict[str, Any]]:
    assert result.quarantine is not None
    rows = [json.loads(line) for line in result.quarantine.read_text().splitlines()]
    return {row["id"]: row for row in rows}


def flags(result: BuildResult) -> dict[str, list[str]]:
    """The reasons of each pair's flags, by its row."""
    return {
        pair.provenance["row"]: [flag["reason"] for flag in pair.provenance.get("flags", [])]
        for pair in read_pairs(result.path)
    }


def test_what_a_gate_drops_is_quarantined_and_what_it_flags_is_a_pair(build: Build) -> None:
    with serving(badly_revised) as server:
        result = build(server.url, rows=ROWS)
    assert result.counts == dict.fromkeys(DROPPED, 1)
    rows = quarantined(result)
    assert {row["reason"] for row in rows.values()} == set(rows) == DROPPED
    for reason, row in rows.items():
        assert (row["answer"], row["reply"]) == (SAMPLES[reason].answer, SAMPLES[reason].revision)
        assert row["detail"]
    kept = flags(result)
    assert set(kept) == set(BAD) - DROPPED
    assert all(reason in kept[reason] for reason in kept)


def test_another_policy_asks_no_model_again(build: Build) -> None:
    with serving(badly_revised) as server:
        first = build(server.url, rows=ROWS)
        other = {reason: "flag" if reason in DROPPED else "drop" for reason in BAD}
        gates = GatePolicy({**other, "no_op": "drop"})
        with pytest.raises(UsageError, match=r"gate\.meta_leak: drop -> flag"):
            build(server.url, rows=ROWS, settings=BuildSettings(gates=gates))
        second = build(server.url, rows=ROWS, settings=BuildSettings(gates=gates), force=True)
        assert len(server.requests) == len(ROWS) == first.calls == second.calls
    assert set(quarantined(second)) == set(BAD) - DROPPED | {"no_op"}
    assert set(flags(second)) == DROPPED - {"no_op"}


def test_a_gate_that_keeps_says_nothing(build: Build) -> None:
    gates = GatePolicy({reason: "keep" for reason in BAD if reason != "no_op"})
    with serving(badly_revised) as server:
        result = build(server.url, rows=ROWS, settings=BuildSettings(gates=gates))
    assert result.counts == {"no_op": 1}
    assert set(map(tuple, flags(result).values())) == {()}
