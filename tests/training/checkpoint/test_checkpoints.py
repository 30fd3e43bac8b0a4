"""Checkpoints: what counts as whole, what is put in place, and what is removed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from clairkit.errors import ResourceError
from clairkit.training.checkpoint.checkpoints import (
    MANIFEST,
    PARTIAL,
    fault,
    newest_whole,
    put_in_place,
    resume_point,
    rotate,
    step_of,
    write_manifest,
)

FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json")


def make(folder: Path, content: bytes = b"12345678", *, without: str = "") -> Path:
    (folder / "shards").mkdir(parents=True)
    step = max(step_of(folder), 0)
    save_file({"w": torch.zeros(2)}, folder / "model.safetensors")
    torch.save({"state": {}}, folder / "optimizer.pt")
    torch.save({"last_epoch": step, "lr_lambdas": [None]}, folder / "scheduler.pt")
    torch.save({"python": None}, folder / "rng_state.pth")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (folder / "shards/0.distcp").write_bytes(content)
    if without:
        (folder / without).unlink()
    write_manifest(folder)
    return folder


def seal(folder: Path, name: str, content: bytes | str) -> None:
    """Change a file and its line in the manifest: the change is no damage of the disk."""
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    (folder / MANIFEST).unlink()
    write_manifest(folder)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


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
    (lambda f: (f / "shards/0.distcp").write_bytes(b"1"), "with 1 bytes instead of 8"),
    (lambda f: (f / "scheduler.pt").unlink(), "lacks scheduler.pt"),
    (lambda f: (f / MANIFEST).write_text("[" * 20_000), "a manifest that can't be read"),
    (lambda f: (f / MANIFEST).write_bytes(b"\xff{}"), "a manifest that can't be read"),
    (
        lambda f: (f / MANIFEST).write_text('{"files": {"a": {"bytes": 1e999, "sha256": ""}}}'),
        "a manifest that can't be read",
    ),
    (lambda f: seal(f, "trainer_state.json", '{"global_step": 7}'), "that it is of step 7"),
    (lambda f: seal(f, "trainer_state.json", '{"global_step": "10"}'), "that it is of step 10"),
    (lambda f: seal(f, "trainer_state.json", "[]"), "trainer_state.json that can't be read"),
    (lambda f: seal(f, "trainer_state.json", "[" * 20_000), "json that can't be read"),
    (
        lambda f: seal(f, "scheduler.pt", saved({"last_epoch": 3, "lr_lambdas": [None]})),
        "has a scheduler.pt of step 3",
    ),
    (lambda f: seal(f, "scheduler.pt", saved({})), "scheduler.pt without a place"),
    (lambda f: seal(f, "scheduler.pt", b"torn"), "scheduler.pt that can't be loaded"),
    (lambda f: seal(f, "optimizer.pt", saved({"state": {}})[:200]), "pt that can't be loaded"),
    (lambda f: seal(f, "rng_state.pth", b"torn"), "rng_state.pth that can't be loaded"),
    (lambda f: seal(f, "model.safetensors", b"torn"), "safetensors that can't be loaded"),
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
    assert len(skipped) == 1
    assert skipped[0].startswith("checkpoint-10 ")
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
    assert (folder / "shards/0.distcp").read_bytes() == expected
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
    assert (resume_point(tmp_path)[0] / "shards/0.distcp").read_bytes() == b"new"


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
        "checkpoint-mine",
        *(f"checkpoint-{step}" for step in kept),
    }


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-12", 12),
        ("checkpoint-0", 0),
        ("checkpoint-²", -1),
        ("checkpoint-\uff11\uff12", -1),
        ("checkpoint-٣", -1),
        ("checkpoint-007", -1),
        ("checkpoint-+3", -1),
        ("checkpoint-1_0", -1),
        ("checkpoint-old", -1),
        ("checkpoint-", -1),
        ("checkpoint-" + "9" * 5_000, -1),
    ],
)
def test_the_step_in_a_name(name: str, step: int) -> None:
    assert step_of(Path(name)) == step


def test_what_only_looks_like_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    for name in ("checkpoint-²", "checkpoint-old", "checkpoint-007"):
        make(tmp_path / name)
    (tmp_path / "checkpoint-9").write_text("a file")
    with pytest.raises(ResourceError, match="there is no checkpoint"):
        resume_point(tmp_path)
    newest = make(tmp_path / "checkpoint-3")
    assert resume_point(tmp_path) == (newest, [])
    rotate(tmp_path, 1, newest, None)
    assert len(names(tmp_path)) == 5


def test_a_schedule_may_count_otherwise(tmp_path: Path) -> None:
    """One that follows a metric counts evaluations; a gradient scaler skips steps."""
    folder = make(tmp_path / "checkpoint-4")
    seal(folder, "scheduler.pt", saved({"last_epoch": 1, "best": 0.5}))
    assert newest_whole(tmp_path) == (folder, [])
    seal(folder, "scheduler.pt", saved({"last_epoch": 3, "lr_lambdas": [None]}))
    seal(folder, "scaler.pt", saved({}))
    assert newest_whole(tmp_path) == (folder, [])
