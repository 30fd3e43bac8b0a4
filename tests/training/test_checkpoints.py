"""Checkpoints: what counts as whole, what is put in place, and what is removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clairkit.errors import ResourceError
from clairkit.training.checkpoints import (
    MANIFEST,
    PARTIAL,
    fault,
    newest_whole,
    put_in_place,
    resume_point,
    rotate,
    write_manifest,
)

FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json")


def make(folder: Path, content: bytes = b"12345678", *, without: str = "") -> Path:
    (folder / "shards").mkdir(parents=True)
    for name in (*FILES, "shards/0.distcp"):
        if name != without:
            (folder / name).write_bytes(content)
    write_manifest(folder)
    return folder


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)


Damage = Callable[[Path], object]
DAMAGES: list[tuple[Damage, str]] = [
    (lambda f: (f / "model.safetensors").unlink(), "lacks model.safetensors"),
    (lambda f: flip_a_bit(f / "model.safetensors"), "has a changed model.safetensors"),
    (lambda f: flip_a_bit(f / "shards/0.distcp"), "has a changed shards/0.distcp"),
    (lambda f: (f / "model.safetensors").write_bytes(b"1"), "with 1 bytes instead of 8"),
    (lambda f: (f / "optimizer.pt").unlink(), "lacks optimizer.pt"),
    (lambda f: (f / "rng_state.pth").unlink(), "lacks rng_state.pth"),
    (lambda f: (f / MANIFEST).unlink(), "has no manifest"),
    (lambda f: (f / MANIFEST).write_text("{"), "a manifest that can't be read"),
    (lambda f: (f / MANIFEST).write_text('{"files": {"a": 1}}'), "a manifest that can't be read"),
    (lambda f: (f / MANIFEST).write_text('{"files": []}'), "a manifest that can't be read"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[text for _, text in DAMAGES])
def test_a_damaged_checkpoint_is_skipped_and_none_left_is_an_error(
    tmp_path: Path, damage: Damage, message: str
) -> None:
    for step in (9, 10):
        assert fault(make(tmp_path / f"checkpoint-{step}")) is None
    damage(tmp_path / "checkpoint-10")
    newest, skipped = newest_whole(tmp_path)
    assert newest.name == "checkpoint-9"
    assert skipped == [f"checkpoint-10 {fault(tmp_path / 'checkpoint-10')}"]
    assert message in skipped[0]
    damage(tmp_path / "checkpoint-9")
    with pytest.raises(ResourceError, match=r"nothing to resume.*checkpoint-10 .*checkpoint-9 "):
        resume_point(tmp_path)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_checkpoint_that_would_begin_anew_is_not_whole(tmp_path: Path, name: str) -> None:
    """Its manifest is right; the Trainer would resume from it without a word."""
    problem = fault(make(tmp_path / "checkpoint-1", without=name))
    assert problem is not None
    assert name.split(".")[0] in problem


def test_the_manifest_names_all_files_in_folders_too(tmp_path: Path) -> None:
    entries = json.loads((make(tmp_path / "c") / MANIFEST).read_text())["files"]
    assert set(entries) == {*FILES, "shards/0.distcp"}
    sha256 = "ef797c8118f02dfb649607dd5d3f8c7623048c9c063d532cc95c5ed7a898a64f"  # sha256sum's
    assert entries["shards/0.distcp"] == {"bytes": 8, "sha256": sha256}


@pytest.mark.parametrize("old", ["none", "damaged", "whole"])
def test_a_checkpoint_kept_from_its_place_is_rescued(tmp_path: Path, old: str) -> None:
    make(tmp_path / "checkpoint-1")
    if old != "none":
        make(tmp_path / "checkpoint-2", b"old")
    if old == "damaged":
        (tmp_path / "checkpoint-2" / "optimizer.pt").unlink()
    make(tmp_path / PARTIAL / "checkpoint-2", b"new")
    make(tmp_path / PARTIAL / "discarded-checkpoint-0")
    folder, skipped = resume_point(tmp_path)
    assert (folder.name, skipped) == ("checkpoint-2", [])
    expected = b"old" if old == "whole" else b"new"
    assert (folder / "model.safetensors").read_bytes() == expected
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-2"]


def test_half_a_checkpoint_is_removed_and_not_rescued(tmp_path: Path) -> None:
    make(tmp_path / "checkpoint-1")
    half = make(tmp_path / PARTIAL / "checkpoint-2")
    (half / MANIFEST).unlink()
    assert resume_point(tmp_path)[0].name == "checkpoint-1"
    assert names(tmp_path) == ["checkpoint-1"]


def test_a_kill_between_the_two_renames_of_a_replacement_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(tmp_path / "checkpoint-2", b"old")
    fresh = make(tmp_path / PARTIAL / "checkpoint-2", b"new")
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path == fresh:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            put_in_place(fresh, old)
    assert not old.exists()
    assert (resume_point(tmp_path)[0] / "model.safetensors").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (None, None, [2, 4, 6, 8, 10]),
        (3, None, [4, 6, 8]),  # 10 is of a future that was abandoned
        (1, None, [8]),
        (1, 2, [2, 8]),
        (2, 2, [2, 8]),
        (3, 2, [2, 6, 8]),
        (4, 10, [4, 6, 8, 10]),
    ],
)
def test_rotation_keeps_the_newest_and_the_best(
    tmp_path: Path, limit: int | None, best: int | None, kept: list[int]
) -> None:
    for step in (2, 4, 6, 8, 10):
        make(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-mine").mkdir()
    where = None if best is None else f"/where/it/was/checkpoint-{best}"
    rotate(tmp_path, limit, tmp_path / "checkpoint-8", where)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {
        "checkpoint-mine", *(f"checkpoint-{step}" for step in kept)
    }  # fmt: skip
