"""The export: rows stream through it, whatever becomes of them."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from clairkit.errors import ResourceError
from clairkit.generation import build_pairs
from clairkit.generation.export import Spool

NOTHING = "python:reviser_functions:nothing"


def test_rows_that_become_no_pair_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clairkit.generation.export._IN_MEMORY", 2**18)
    prompts, size, count = tmp_path / "prompts.jsonl", 50_000, 160
    with prompts.open("w") as file:
        for number in range(count):
            file.write(json.dumps({"prompt": f"q {number}", "answer": "word " * (size // 5)}))
            file.write("\n")
    output = tmp_path / "pairs.jsonl"
    build_pairs(prompts, reviser=NOTHING, output=output)
    tracemalloc.start()
    try:
        result = build_pairs(prompts, reviser=NOTHING, output=output)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.counts == {"no_op": count}
    assert result.quarantine is not None
    ids = [json.loads(line)["prompt"][0]["content"] for line in result.quarantine.open()]
    assert ids == [f"q {number}" for number in range(count)]
    assert peak < size * count / 2
    assert not list(tmp_path.glob("tmp*"))


def test_a_spool_gives_back_what_it_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clairkit.generation.export._IN_MEMORY", 10)
    rows = [{"id": f"{n}", "text": "\ud800\u2028\r\n\u3042"} for n in range(9)]
    with Spool(tmp_path) as spool:
        assert not spool
        for row in rows:
            spool.add(row)
        assert (len(spool), list(spool)) == (9, rows)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(text: str) -> int:
        raise OSError(28, "No space left on device")

    with Spool(tmp_path) as spool:
        monkeypatch.setattr(spool._file, "write", full)
        with pytest.raises(ResourceError, match="No space left"):
            spool.add({})
