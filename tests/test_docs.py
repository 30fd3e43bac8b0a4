"""The documentation: links resolve, pages are reachable, prose is wrapped, pictures are current."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import click
import pytest
from draw_house import CONTRIBUTING, FLOORS, PICTURE, contributing, picture
from house import ROOMS, ROOT

from clairkit.cli.main import cli
from clairkit.models.reasons import REASONS

INDEX = ROOT / "docs" / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAX_COLUMNS = 100

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_SCHEME = re.compile(r"^(https?|mailto):")


def prose(text: str) -> str:
    """Return a page without its code blocks; their lines stay, empty."""
    return _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\]\([^)]*\)", "", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        again = found.count(anchor)
        found += [anchor, *([f"{anchor}-{again}"] if again else [])]
    return frozenset(found)


def links(page: Path) -> list[str]:
    """Return what a page links to, in this repository."""
    text = _CODE.sub("``", prose(page.read_text(encoding="utf-8")))
    return [target for target in _LINK.findall(text) if not _SCHEME.match(target)]


def broken(page: Path, target: str) -> str | None:
    """Return why a link leads nowhere, or None."""
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.is_relative_to(ROOT) or not file.exists():
        return "no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return "no such heading"
    return None


def too_long(text: str) -> list[str]:
    """Return the lines of prose that are too wide: tables and lines of one word are not prose."""
    return [
        line
        for line in prose(text).splitlines()
        if len(line) > MAX_COLUMNS and not line.lstrip().startswith(("|", "[![")) and " " in line
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    wrong = {target: why for target in links(page) if (why := broken(page, target))}
    assert not wrong


def test_a_link_that_leads_nowhere_is_found() -> None:
    assert broken(INDEX, "no_such_page.md") == "no such file"
    assert broken(INDEX, "training.md#no-such-heading") == "no such heading"
    assert broken(INDEX, "training.md#settings") is None


def test_every_page_is_reachable_from_the_index() -> None:
    seen, waiting = {INDEX}, [INDEX]
    while waiting:
        page = waiting.pop()
        for target in links(page):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.exists() and file not in seen:
                seen.add(file)
                waiting.append(file)
    assert not {str(page.relative_to(ROOT)) for page in PAGES} - {
        str(page.relative_to(ROOT)) for page in seen
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    assert not too_long(page.read_text(encoding="utf-8"))


def test_a_wide_line_is_found_in_prose_alone() -> None:
    wide = "word " * 30
    assert too_long(f"{wide}\n") == [wide]
    assert not too_long(f"```\n{wide}\n```\n| {wide} |\n")


def test_the_picture_and_the_table_of_rooms_are_what_the_script_makes() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "run `make docs`"
    assert CONTRIBUTING.read_text(encoding="utf-8") == contributing(), "run `make docs`"


def test_every_room_is_in_the_picture() -> None:
    drawn = re.findall(r'class="name"[^>]*>(\w+)<', picture())
    assert sorted(drawn) == sorted([*ROOMS, "cli", "bench"])
    assert set(FLOORS) <= set(ROOMS)


def quoted(heading: str) -> list[str]:
    """Return what the first column of a section's table in docs/troubleshooting.md quotes."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return [span[1:-1] for cell in cells for span in _CODE.findall(cell)]


def test_findings_and_reasons_in_troubleshooting_are_those_of_the_source() -> None:
    rules = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "clairkit" / "runs").rglob("*.*")
        if path.suffix in (".py", ".yaml")
    )
    findings = [text.rstrip("…").strip() for text in quoted("Training did not do what it should")]
    assert len(findings) > 10
    assert not [text for text in findings if text not in rules]
    assert set(quoted("Rows became no pair")) <= set(REASONS)


def command_lines(page: Path) -> list[str]:
    """Return the calls of `clairkit` in a page's code blocks, each as one line."""
    blocks = "".join(_FENCE.findall(page.read_text(encoding="utf-8")))
    joined = re.sub(r" *\\\n *", " ", blocks)
    return re.findall(r"^ *clairkit +([a-z].*)$", joined, re.MULTILINE)


def unknown_options(line: str) -> list[str]:
    """Return what a call names that its command does not have: the command itself, or options."""
    words = re.sub(r"""'[^']*'|"[^"]*"|#.*""", "", line).split()
    command: click.Command = cli
    with click.Context(cli) as context:
        for word in words:
            found = command.get_command(context, word) if isinstance(command, click.Group) else None
            if found is None:
                break
            command = found
    if isinstance(command, click.Group):
        return words[:1]
    known = {each for option in command.params for each in (*option.opts, *option.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    return sorted(given - known - {"--help", "-h"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_the_page_have_the_options_that_it_gives_them(page: Path) -> None:
    wrong = {line: found for line in command_lines(page) if (found := unknown_options(line))}
    assert not wrong


def test_a_command_with_a_wrong_option_is_found() -> None:
    assert unknown_options("train --modle x -o run") == ["--modle"]
    assert unknown_options("trian --model x") == ["trian"]
    assert unknown_options("label export answers.jsonl -o page.html --n 60") == []
    assert len(command_lines(ROOT / "README.md")) >= 5
