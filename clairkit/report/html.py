"""Pieces of HTML from texts. Whatever the texts hold, they are shown and never act."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.display import redact
from clairkit.report.text import shown


@dataclass(frozen=True)
class Cell:
    """A cell that is HTML of ours, not text."""

    html: str


def escaped(text: str) -> str:
    """Return a text as HTML: hidden characters spelt out, secrets removed, quotes escaped."""
    return html.escape(redact(shown(text)))


def element(name: str, text: str, kind: str = "") -> str:
    """Return an element that holds a text, with a class."""
    kinds = f' class="{kind}"' if kind else ""
    return f"<{name}{kinds}>{escaped(text)}</{name}>"


def table(head: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, words_in: int = 1) -> str:
    """Return a table that scrolls where it is too wide; the first cell of a row names it.

    Args:
        head: the columns' names; empty for none.
        rows: texts, or pieces of our own.
        words_in: so many columns hold words, aligned left; the others hold figures.
    """
    heads = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    kind = "words" if words_in > 1 else "figures"
    top = f"<thead><tr>{heads}</tr></thead>" if head else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}">{top}'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[str | Cell]) -> str:
    first, *rest = (cell.html if isinstance(cell, Cell) else escaped(cell) for cell in row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)


def count_text(value: int) -> str:
    """Return a whole number for reading."""
    return f"{value:,}"


def percent_text(share: float) -> str:
    """Return a share for reading."""
    return f"{100 * share:.1f} %"
