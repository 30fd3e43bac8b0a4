"""Where output may go, and that it gets there whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.records import atomic_write, check_output, output, safe_child
from clairkit.records.output import atomic_folder
from clairkit.records.temporary import exchange, restore


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize("path", ["../x.jsonl", "../../x", "a/../../x", "./a/b/../../../x", ".."])
def test_a_relative_path_out_of_the_current_directory_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="leads out of the current directory") as caught:
        check_output(path)
    assert caught.value.exit_code == 2
    assert "absolute path" in str(caught.value)


def test_other_paths_are_accepted(tmp_path: Path) -> None:
    here = tmp_path / "here"
    for path in ("x.jsonl", "new/folder/x.jsonl", "a/../x.jsonl", "..x", Path("x.jsonl")):
        assert check_output(path).is_relative_to(here)
    assert check_output(tmp_path / "x.jsonl") == tmp_path / "x.jsonl"
    assert check_output(f"{here}/../x.jsonl") == tmp_path / "x.jsonl"
    assert list(here.iterdir()) == []  # nothing is created


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty"),
        ("a\0b", "NUL"),
        ("x" * 300, "longer than 255 bytes"),
        ("\u3042" * 90, "longer than 255 bytes"),
        ("folder", "is a directory"),
        ("fifo", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("file/x", "cannot be used|leads through a file"),
        ("loop", "is not a regular file|cannot be used"),
    ],
)
def test_what_cannot_be_an_output_file_is_refused_even_with_force(path: str, problem: str) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    os.mkfifo("fifo")
    Path("loop").symlink_to("loop")
    with pytest.raises(UsageError, match=problem):
        check_output(path, force=True)


def test_an_existing_file_needs_force() -> None:
    Path("x").touch()
    Path("link").symlink_to("x")
    for path in ("x", "link"):
        with pytest.raises(UsageError, match=r"the output exists.*--force"):
            check_output(path)
        assert check_output(path, force=True) == Path("x").resolve()


def test_a_folder_that_is_not_ours_to_write_is_a_matter_of_resources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ResourceError, match="no permission"):
        check_output("x")


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../../x",
        "/etc/x",
        "a/../../x",
        "..",
        ".",
        "",
        "a//b",
        "a\\..\\..\\x",
        "a\0b",
        "x" * 300,
        "line\nend",
        "link/x",
    ],
)
def test_a_name_from_data_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "here" / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(DataError) as caught:
        safe_child(folder, name)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


@given(st.text(max_size=300))
def test_safe_child_is_inside_or_refused(name: str) -> None:
    try:
        child = safe_child("out", name)
    except DataError:
        return
    assert child.resolve().is_relative_to(Path("out").resolve())
    assert child.resolve() != Path("out").resolve()


def names() -> list[str]:
    return sorted(entry.name for entry in Path.cwd().iterdir())


def test_atomic_write_shows_nothing_until_the_end_and_keeps_the_mode() -> None:
    path = Path("out/x")
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    with atomic_write(path) as file:
        file.write(b"newer")
        assert path.read_bytes() == b"new"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"newer", 0o640)
    assert [entry.name for entry in Path("out").iterdir()] == ["x"]


def test_a_place_that_takes_no_files_is_a_matter_of_resources() -> None:
    Path("file").touch()
    for path in ("/proc/x.jsonl", "file/x"):
        with pytest.raises(ResourceError, match=f"{path}: cannot be written"), atomic_write(path):
            pass


def test_atomic_write_goes_through_a_link() -> None:
    Path("x").write_bytes(b"old")
    Path("link").symlink_to("x")
    with atomic_write("link") as file:
        file.write(b"new")
    assert Path("link").is_symlink()
    assert Path("x").read_bytes() == b"new"


@pytest.mark.parametrize(
    "error", [ValueError("bug"), KeyboardInterrupt(), OSError(errno.ECONNRESET, "x")]
)
def test_an_error_in_the_block_leaves_the_earlier_file(error: BaseException) -> None:
    Path("x").write_bytes(b"old")

    def write() -> None:
        with atomic_write("x") as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert Path("x").read_bytes() == b"old"
    assert names() == ["x"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "disk failed"),
    ],
)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_failing_disk_at_any_step_leaves_the_earlier_file(
    monkeypatch: pytest.MonkeyPatch, code: int, problem: str, step: str
) -> None:
    Path("x").write_bytes(b"old")

    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os if step == "fsync" else Path, step, fail)
        with pytest.raises(ResourceError, match=problem) as caught, atomic_write("x") as file:
            file.write(b"new")
    assert caught.value.exit_code == 5
    assert Path("x").read_bytes() == b"old"
    assert names() == ["x"]


@pytest.mark.parametrize("room", [0, 1, 4096, 100_000])
def test_a_real_write_that_does_not_fit_leaves_the_earlier_file(room: int) -> None:
    Path("x").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        with pytest.raises(ResourceError, match="larger than allowed"), atomic_write("x") as file:
            file.writelines(b"n" * 1000 for _ in range(300))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert Path("x").read_bytes() == b"old"
    assert names() == ["x"]


def test_a_killed_writer_leaves_the_earlier_file() -> None:
    Path("x").write_bytes(b"old")
    code = (
        "import os, signal; from clairkit.records import atomic_write\n"
        "with atomic_write('x') as file:\n"
        "    file.write(b'n' * 10**6)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert Path("x").read_bytes() == b"old"


def test_data_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[str] = []

    def noting(name: str, true: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            kind = ""
            if name == "fsync":
                kind = " folder" if stat.S_ISDIR(os.fstat(arguments[0]).st_mode) else " file"
            steps.append(name + kind)
            return true(*arguments)

        return step

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", noting("replace", Path.replace))
    with atomic_write("x") as file:
        file.write(b"new")
    assert steps == ["fsync file", "replace", "fsync folder"]


def test_atomic_folder_replaces_only_its_own_kind() -> None:
    with atomic_folder("out", marker="mark") as folder:
        (folder / "mark").write_text("1")
        assert not Path("out").exists()
    with atomic_folder("out", marker="mark") as folder:
        (folder / "mark").write_text("2")
    assert Path("out/mark").read_text() == "2"
    with pytest.raises(ValueError, match="bug"), atomic_folder("out", marker="mark") as folder:
        raise ValueError("bug")
    assert Path("out/mark").read_text() == "2"
    Path("mine").mkdir()
    with pytest.raises(UsageError, match="not replaced"), atomic_folder("mine", marker="mark"):
        pass
    assert names() == ["mine", "out"]


def no_exchange(*_: Path) -> bool:
    """What a file system says that can't exchange two names at once, as NFS."""
    return False


def make_folder(text: str) -> None:
    with atomic_folder("out", marker="mark") as folder:
        (folder / "mark").write_text(text)


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(output, "exchange", no_exchange)
    for text in "123":
        make_folder(text)
        assert Path("out/mark").read_text() == text
        assert names() == ["out"]


def test_two_names_change_places_in_one_step() -> None:
    Path("a").write_text("1")
    Path("b").mkdir()
    assert exchange(Path("a"), Path("b"))
    assert Path("a").is_dir()
    assert Path("b").read_text() == "1"
    with pytest.raises(FileNotFoundError):
        exchange(Path("a"), Path("c"))


def test_atomic_folder_puts_the_earlier_one_back_when_the_exchange_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "exchange", no_exchange)
    make_folder("1")
    true_rename = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError(errno.ENOSPC, "full")
        return true_rename(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(ResourceError), atomic_folder("out", marker="mark") as folder:
        (folder / "mark").write_text("2")
    assert Path("out/mark").read_text() == "1"
    assert names() == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from clairkit.records import output
rename, output.exchange = Path.rename, lambda *_: False
def killed(self, target):
    rename(self, target)
    if str(target).endswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = killed
with output.atomic_folder("out", marker="mark") as folder:
    (folder / "mark").write_text("2")
"""


@pytest.mark.parametrize("moment", [".old", "out"])
def test_a_kill_between_two_renames_leaves_one_folder_that_is_found(moment: str) -> None:
    make_folder("1")
    assert subprocess.run([sys.executable, "-c", KILLED, moment]).returncode == -signal.SIGKILL
    assert len(names()) == 2
    restore(Path("out").resolve())
    assert Path("out/mark").read_text() == ("1" if moment == ".old" else "2")
    make_folder("3")
    assert names() == ["out"]


def test_only_what_a_dead_writer_of_the_same_name_left_is_deleted() -> None:
    with atomic_write("other") as other, atomic_write("x") as ours:
        other.write(b"1")
        code = (
            "import os, signal; from clairkit.records import atomic_write\n"
            "with atomic_write('x') as file:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        subprocess.run([sys.executable, "-c", code])
        assert len(names()) == 3
        with atomic_write("x") as file:
            assert len(names()) == 3  # what the kill left is gone, those at work are there
            file.write(b"2")
        ours.write(b"3")
    assert names() == ["other", "x"]
    assert (Path("other").read_bytes(), Path("x").read_bytes()) == (b"1", b"3")
