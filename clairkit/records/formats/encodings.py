"""Recognise encodings other than UTF-8, and say how to convert them without loss.

No conversion is printed that would succeed with other characters than the file's: where bytes may
be in several encodings, each is shown with what the line says in it, and the reader chooses.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import DataError
from clairkit.records.faults import SKIP, RowFault
from clairkit.records.formats.encoding_guess import Candidate, candidates, is_sure, is_text

SAMPLE = 2**18
"""The bytes at a file's beginning that its encoding is guessed from."""

_WIDE_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32LE"),
    (b"\x00\x00\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16LE"),
    (b"\xfe\xff", "UTF-16BE"),
)
_ISO_2022 = re.compile(rb"\x1b(?:\$[@B]|\([IJ]|\$\([CD]|\$\)C)")
_LEAD = 12  # characters shown before the first one in question
_SHOWN = 40  # characters of a preview
_SAVE = "save it as UTF-8 in the program that wrote it"

SIZE_CAP = 2**20
"""The most bytes of such a file."""


def check_wide(path: str, head: bytes) -> None:
    """Refuse a file that begins with `head` when it is UTF-16 or UTF-32.

    Raises:
        DataError: it is in one of them.
    """
    name = next((name for mark, name in _WIDE_MARKS if head.startswith(mark)), None)
    if name is None and (name := _unmarked(head)) is not None:
        problem = f"is {name} without a byte order mark, not UTF-8"
        raise DataError(problem, path=path, remedy=_conversion(path, name))
    if name:
        raise DataError(f"is {name}, not UTF-8", path=path, remedy=_conversion(path, name))


def _unmarked(head: bytes) -> str | None:
    """UTF-16 without a mark: it makes sense as such, and what is ASCII in it has the NUL bytes."""
    nulls = head.count(0)
    if nulls < 2 or len(head) < 4:
        return None
    for name in ("UTF-16LE", "UTF-16BE"):
        text = head[: len(head) - len(head) % 2].decode(name, "replace")
        plain = sum(character.isascii() for character in text)
        if plain >= 0.8 * nulls and text.count("\ufffd") <= 1 and is_text(text):
            return name
    return None


def iso_2022_fault(path: str, line: bytes) -> RowFault | None:
    """Return the fault of a line of ISO-2022-JP, which looks like ASCII with escapes."""
    if not _ISO_2022.search(line):
        return None
    try:
        text = line.decode("iso2022_jp")
    except UnicodeDecodeError:
        problem = "the line has the escapes of ISO-2022 (as in Japanese mail), not UTF-8"
        return RowFault("bad_unicode", problem, remedy=_SAVE)
    problem = f"the line is ISO-2022-JP, not UTF-8; in it, it reads {_preview(text)}"
    return RowFault("bad_unicode", problem, remedy=_conversion(path, "ISO-2022-JP"))


class EncodingAdvice:
    """What is said of the lines of one file that are not UTF-8.

    Args:
        path: the file.
        read_sample: returns its first `SAMPLE` bytes, unzipped.
    """

    def __init__(self, path: str, read_sample: Callable[[], bytes]) -> None:
        self._path = path
        self._read_sample = read_sample

    def fault(self, line: bytes, error: UnicodeDecodeError) -> RowFault:
        """Return the fault of a line."""
        readable, others = self._sample
        problem = f"byte {error.start + 1} of the line is not UTF-8"
        if readable > others.count(b"\n"):
            problem += f", and {readable} other lines of the file are: it is damaged or mixed"
            remedy = f"correct the line, or {SKIP}; to convert the file would corrupt the rest"
            said = _readings(candidates(line), line)
            return RowFault("bad_unicode", problem + said, remedy=remedy)
        said, remedy = _advice(self._path, line, others + line)
        received = None if said else line.decode("utf-8", "backslashreplace")
        return RowFault("bad_unicode", problem + said, received=received, remedy=remedy)

    @cached_property
    def _sample(self) -> tuple[int, bytes]:
        """How many lines with letters beyond ASCII are UTF-8, and those that are not."""
        readable, others = 0, []
        for line in self._read_sample().splitlines(keepends=True)[:-1]:
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                readable += 1
            except UnicodeDecodeError:
                others.append(line)
        return readable, b"".join(others)


def decoded(path: str | Path, content: bytes) -> str:
    """Return the text of a small file, without a byte order mark.

    Raises:
        DataError: it is not UTF-8; says what it is, and how to convert it.
    """
    check_wide(str(path), content[:1024])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = content.rfind(b"\n", 0, error.start) + 1
        said, remedy = _advice(str(path), content[start:].partition(b"\n")[0], content)
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8" + said, path=path, line=number, remedy=remedy) from None


def _advice(path: str, line: bytes, sample: bytes) -> tuple[str, str]:
    """Return what `line` says in each encoding of `sample`, and what to do."""
    found = candidates(sample) or candidates(line)
    if not found:
        return "", _SAVE
    if is_sure(found):
        name = found[0].name
        said = f"; it is {name}, in which it reads {_preview(found[0].decode(line))}"
        return said, _conversion(path, name)
    remedy = f"take the encoding in which it reads right as NAME: {_command(path, 'NAME')}"
    return _readings(found, line), f"{remedy}; if none does, {_SAVE}"


def _readings(found: Sequence[Candidate], line: bytes) -> str:
    shown = [f"{candidate.name} {_preview(candidate.decode(line))}" for candidate in found]
    return "; it reads in " + ", in ".join(shown) if shown else ""


def _preview(text: str) -> str:
    """Return the part of a line that is in question."""
    first = next((at for at, letter in enumerate(text) if not letter.isascii()), 0)
    return f"“{excerpt(text[max(first - _LEAD, 0) :].rstrip(), _SHOWN)}”"


def _conversion(path: str, name: str) -> str:
    return f"convert it: {_command(path, name)}"


def _command(path: str, name: str) -> str:
    """Return the command that converts a file, fit to be pasted."""
    given = Path(path)
    zipped = given.suffix.lower() == ".gz"
    kept = given.with_suffix("") if zipped else given
    made = _word(str(kept.with_name(f"{kept.stem}.utf8{kept.suffix}")))
    if zipped:
        return f"gunzip -c {_word(path)} | iconv -f {name} -t UTF-8 > {made}"
    return f"iconv -f {name} -t UTF-8 {_word(path)} > {made}"


def _word(path: str) -> str:
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def read_text_file(path: Path, what: str) -> str:
    """Return the text of a user's file, without a byte order mark.

    Raises:
        DataError: it can't be read, is larger than 1 MiB, or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_CAP + 1)
        text = decoded(path, content)
    except OSError as error:
        raise DataError(
            f"the {what} can't be read ({error.strerror or error})",
            path=path,
            remedy="give a file of UTF-8 text",
        ) from None
    if len(content) > SIZE_CAP:
        raise DataError(f"the {what} is larger than 1 MiB", path=path)
    return text.replace("\r\n", "\n")
