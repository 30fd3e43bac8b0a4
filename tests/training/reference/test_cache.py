"""A reference cache is found by token ids, read whole or refused, and written by many at once."""

from __future__ import annotations

import json
import multiprocessing
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from clairkit.errors import DataError
from clairkit.training.reference.cache import (
    CachedReference,
    CacheFile,
    Source,
    candidates,
    write_cache,
)

SOURCE = Source("ab" * 32, "float32", model="tiny")


def random_entries(count: int, seed: int = 0, vocabulary: int = 9) -> list[CachedReference]:
    """Sequences of few tokens, so that prompts are shared and responses begin alike."""
    draw = random.Random(seed)
    entries: dict[tuple[tuple[int, ...], tuple[int, ...]], CachedReference] = {}
    while len(entries) < count:
        prompt = [draw.randrange(3) for _ in range(draw.randint(1, 4))]
        response = [draw.randrange(vocabulary) for _ in range(draw.randint(1, 12))]
        logps = torch.tensor([-draw.random() * 20 for _ in response])
        entries[tuple(prompt), tuple(response)] = CachedReference(prompt, response, logps)
    return list(entries.values())


def naive(
    entries: list[CachedReference], prompt: list[int], response: list[int]
) -> set[tuple[float, ...]]:
    """All log-probs that the entries have for the beginning of a response."""
    return {
        tuple(entry.logps[: len(response)].tolist())
        for entry in entries
        if entry.prompt_ids == prompt and entry.response_ids[: len(response)] == response
    }


@pytest.mark.parametrize("vocabulary", [2, 9, 150_000])
def test_a_lookup_is_a_search_through_all_sequences(tmp_path: Path, vocabulary: int) -> None:
    entries = random_entries(300, vocabulary=vocabulary)
    file = CacheFile(write_cache(tmp_path, SOURCE, entries))
    assert len(file) == 300
    found = 0
    for prompt, response, _ in entries + random_entries(300, 1, vocabulary):
        for end in range(1, len(response) + 1):
            expected = naive(entries, prompt, response[:end])
            logps = file.find(prompt, response[:end])
            found += logps is not None
            if logps is None:
                assert not expected
            else:
                assert logps.dtype == torch.float32
                assert tuple(logps.tolist()) in expected
    assert found >= sum(len(entry.response_ids) for entry in entries)


def test_prompt_and_response_are_told_apart(tmp_path: Path) -> None:
    """The same tokens, cut elsewhere into prompt and response, are another sequence."""
    entry = CachedReference([1, 2], [3, 4], torch.tensor([-1.0, -2.0]))
    file = CacheFile(write_cache(tmp_path, SOURCE, [entry]))
    assert file.find([1, 2], [3]) is not None
    assert file.find([1], [2, 3, 4]) is None
    assert file.find([1, 2, 3], [4]) is None
    assert file.find([1, 2], [3, 4, 5]) is None  # longer than what is there
    assert file.find([1, 3], [3, 4]) is None
    assert file.find([7], [3]) is None


def test_it_is_a_safetensors_file_that_names_what_it_is(tmp_path: Path) -> None:
    entries = random_entries(20)
    path = write_cache(tmp_path, Source("ab" * 32, "bfloat16", "cd" * 32, "m"), entries)
    assert path.name.startswith("abababababababab-cdcdcdcdcdcdcdcd-bfloat16-")
    with safetensors.safe_open(path, "np") as file:  # an independent reader
        facts, ids, logps = file.metadata(), file.get_tensor("ids"), file.get_tensor("logps")
    assert ids.dtype == np.int32
    assert logps.dtype == np.float32
    assert sorted(ids) == sorted(x for e in entries for x in e.prompt_ids + e.response_ids)
    assert logps.sum() == pytest.approx(sum(float(e.logps.sum()) for e in entries), rel=1e-5)
    assert facts["weights_sha256"] == "ab" * 32
    assert facts["version"] == "1"
    assert facts.keys() >= {"clairkit", "made", "precision", "model", "payload_sha256"}
    assert CacheFile(path).source == Source("ab" * 32, "bfloat16", "cd" * 32)


def test_the_name_depends_on_content_alone(tmp_path: Path) -> None:
    entries = random_entries(20)
    path = write_cache(tmp_path, SOURCE, entries)
    assert write_cache(tmp_path, SOURCE, entries[::-1]) == path
    other = write_cache(
        tmp_path, SOURCE, [*entries[1:], entries[0]._replace(logps=entries[0].logps - 1)]
    )
    assert other != path
    for source in (
        Source("ba" * 32, "float32"),
        Source("ab" * 32, "bfloat16"),
        Source("ab" * 32, "float32", "c" * 64),
        Source("ab" * 32, "float32+bfloat16"),
    ):
        write_cache(tmp_path, source, entries)
        assert len(candidates(tmp_path, source)) == 1
    assert set(candidates(tmp_path, SOURCE)) == {path, other}
    assert candidates(tmp_path / "none", SOURCE) == []


def test_every_cut_and_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = write_cache(tmp_path, SOURCE, random_entries(30))
    whole = path.read_bytes()
    draw = random.Random(3)
    header = 8 + int.from_bytes(whole[:8], "little")
    cuts = {0, 1, 7, 8, 9, header - 1, header, header + 1, len(whole) - 1}
    damaged = [whole[:cut] for cut in cuts | {draw.randrange(len(whole)) for _ in range(40)}]
    damaged.append(whole + b"\0")
    places = [*range(8), *(draw.randrange(header) for _ in range(400))]
    places += [draw.randrange(header, len(whole)) for _ in range(100)]
    for place in places:
        bytes_ = bytearray(whole)
        bytes_[place] ^= 1 << draw.randrange(8)
        damaged.append(bytes(bytes_))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DataError, match=path.name):
            CacheFile(path)
    path.write_bytes(whole)
    assert len(CacheFile(path)) == 30


def reheaded(whole: bytes, change: Any) -> bytes:
    """The file with a changed header, checksums of the header left as they are."""
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + whole[end:]


def test_other_files_and_versions_are_refused_by_name(tmp_path: Path) -> None:
    path = write_cache(tmp_path, SOURCE, random_entries(5))
    whole = path.read_bytes()
    foreign = tmp_path / "model.safetensors"
    foreign.write_bytes(safetensors.torch.save({"w": torch.ones(3)}, {"format": "pt"}))
    with pytest.raises(DataError, match="the file is no reference cache"):
        CacheFile(foreign)
    foreign.write_bytes(safetensors.torch.save({"w": torch.ones(3)}))
    with pytest.raises(DataError, match="the file is no reference cache"):
        CacheFile(foreign)
    foreign.write_text("{}" * 100)
    with pytest.raises(DataError, match="the file is no reference cache"):
        CacheFile(foreign)
    newer = reheaded(whole, lambda header: header["__metadata__"].update(version="2"))
    path.write_bytes(newer)
    with pytest.raises(DataError, match="has version 2, and this clairkit reads 1"):
        CacheFile(path)
    path.write_bytes(reheaded(whole, lambda header: header["__metadata__"].update(precision="x")))
    with pytest.raises(DataError, match="its header is not what was written"):
        CacheFile(path)
    with pytest.raises(DataError, match="can't be read: No such file"):
        CacheFile(tmp_path / "missing")
    with pytest.raises(DataError, match="can't be read: Is a directory"):
        CacheFile(tmp_path)


def test_what_was_found_outlives_a_file_that_is_removed(tmp_path: Path) -> None:
    entry = random_entries(1)[0]
    path = write_cache(tmp_path, SOURCE, [entry])
    found = CacheFile(path).find(entry.prompt_ids, entry.response_ids)
    path.unlink()
    assert found is not None
    assert torch.equal(found, entry.logps)
    found += 1  # a private copy: the file would not change


def write_and_read(folder: Path, mine: int) -> None:
    for turn in range(20):
        # the same content half of the time: both then write the same name
        first = turn if turn % 2 else 1000 * mine + turn
        write_cache(
            folder,
            SOURCE,
            [
                CachedReference([first], [1, 2, n], torch.tensor([-1.0, -2.0, -float(n)]))
                for n in range(50)
            ],
        )
        for path in candidates(folder, SOURCE):
            assert len(CacheFile(path)) == 50


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_and_read, args=(tmp_path, n)) for n in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 10 + 2 * 10  # and nothing temporary
    for path in tmp_path.iterdir():
        assert len(CacheFile(path)) == 50
