"""What may be offered as data, and what is refused before a byte of it is used."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import DataError
from clairkit.records import read_pairs, read_prompts
from clairkit.records.source import find_source, open_regular

Maker = Callable[..., Any]


def refused(path: str | Path) -> str:
    """The one-line message with which the source is refused at once."""
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_directory_is_refused_and_its_data_files_suggested(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path)
    (tmp_path / "b.parquet").touch()
    (tmp_path / "a.jsonl").touch()
    assert "give one of its files, such as a.jsonl" in refused(tmp_path).lower()


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    assert "is a FIFO (a pipe)" in refused(path)


def test_devices_and_sockets_are_refused(tmp_path: Path) -> None:
    assert "is a device" in refused("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.jsonl"))
        assert "is a socket" in refused(tmp_path / "s.jsonl")


def test_a_file_exchanged_for_a_fifo_while_being_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    path.touch()
    true_open = os.open

    def exchange(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return true_open(name, flags)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(DataError, match="is a FIFO"):
        open_regular(str(path))


def test_a_link_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert "link leads back to itself" in refused(tmp_path / "a.jsonl")


def test_a_link_to_a_file_is_read(tmp_path: Path, jsonl: Maker, good_row: Maker) -> None:
    (tmp_path / "link.jsonl").symlink_to(jsonl([good_row(1)]))
    assert len(list(read_pairs(tmp_path / "link.jsonl"))) == 1


def test_no_permission_is_one_line(
    tmp_path: Path, jsonl: Maker, good_row: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = jsonl([good_row(1)])

    def deny(*_arguments: Any) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", deny)  # root may read everything
    assert "no permission to read it" in refused(path)


def test_a_missing_file_suggests_its_neighbour(jsonl: Maker, good_row: Maker) -> None:
    path = jsonl([good_row(1)], "pairs.jsonl")
    assert f"did you mean {path}?" in refused(path.with_name("pair.jsonl")).replace("Did", "did")
    assert "no such file" in refused(path.parent / "none" / "x.jsonl")
    assert "NUL" in refused("a\0b.jsonl")


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("name", ["x.pkl", "x.pt", "x.bin", "x.jsonl", "x.json", "x.csv", "x"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_is_refused_by_any_name_and_never_loaded(
    tmp_path: Path, name: str, protocol: int
) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(trace), protocol=protocol))
    with pytest.raises(DataError):
        list(read_pairs(path))
    if protocol:
        assert "a pickle or a model file" in refused(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the trap does work
    assert trace.exists()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("x.jsonl", b"\x1f\x8b\x08\0", "is gzip. Name it with .gz"),
        ("x.jsonl", b"PAR1\0\0", "is Parquet. Name it with .parquet"),
        ("x.csv", b"\x28\xb5\x2f\xfd\0", "is Zstandard. Decompress it with `zstd -d`"),
        ("x.json", b"SQLite format 3\0", "is a SQLite database"),
        ("x.jsonl.gz", b"{}", "is not gzip"),
        ("x.parquet", b"{}", "is not Parquet"),
        ("x.parquet.gz", b"\x1f\x8b\x08\0", "unknown kind of file"),
        ("x.jsnol", b"{}", "Did you mean .json"),
        ("x.txt", b"{}", "unknown kind of file: received '.txt'. Give JSON"),
        ("x", b"{}", "unknown kind of file. Give JSON, JSONL"),
    ],
)
def test_a_file_of_another_kind_is_named(
    tmp_path: Path, name: str, data: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(data)
    assert problem in refused(tmp_path / name)


def test_a_checkpoint_is_refused(tmp_path: Path) -> None:
    for name in ("model.pt", "rows.jsonl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("model/data.pkl", b"\x80\x02.")
    assert "a pickle or a model file" in refused(tmp_path / "model.pt")
    assert "a zip archive (a .pt file" in refused(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("name", ["rows.NDJSON", "rows.JSONL", "a.b.jsonl"])
def test_suffixes_in_any_case_are_known(jsonl: Maker, name: str) -> None:
    assert len(list(read_prompts(jsonl([{"prompt": "a"}], name)))) == 1


@pytest.mark.parametrize(
    ("given", "path", "split"),
    [
        ("org/name", "org/name", None),
        ("org/name:test", "org/name", "test"),
        ("hf://org/name", "org/name", None),
        ("hf://datasets/org/na.me:train_1", "org/na.me", "train_1"),
    ],
)
def test_hub_ids_are_recognised(given: str, path: str, split: str | None) -> None:
    found = find_source(given)
    assert (found.kind, found.path, found.split) == ("hub", path, split)


def test_a_local_path_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for given in ("runs/pairs", "data/pairs.jsonl", "data/pairs.pkl", "./name"):
        assert "no such file" in refused(given)
    assert "no such file" in refused(Path("org/name"))
    assert "not a Hub id" in refused("hf://name")


def test_importing_records_loads_nothing_heavy() -> None:
    code = (
        "import sys, clairkit.records; "
        "print([name for name in ('pyarrow', 'datasets', 'torch', 'numpy', 'pandas') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
