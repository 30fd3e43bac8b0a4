"""Write figures for people: an estimate always with its interval and what it rests on."""

from __future__ import annotations

from unicodedata import east_asian_width

from clairkit.display import excerpt
from clairkit.pilot.evidence import Figure
from clairkit.pilot.survey import words

_SHARE = 100
UTILITY = "utility"


def figure_text(figure: Figure, code: str = "en") -> str:
    """Return a figure with its name, interval and n."""
    n = "" if figure.is_count else f", {words(code)['figures']['n'].format(n=f'{figure.n:,}')}"
    return f"{figure_name(figure, code)}: {value_text(figure, code)}{n}"


def figure_name(figure: Figure, code: str = "en") -> str:
    """Return what a figure is, in a language."""
    names = words(code)["figures"]
    if figure.figure == "kpi" and figure.name == UTILITY:
        return str(names[UTILITY])
    text = str(names.get(figure.figure, figure.figure))
    return f"{text} ({figure.name})" if figure.name else text


def value_text(figure: Figure, code: str = "en") -> str:
    """Return an estimate with its interval, or a count; of a guard, its lower bound."""
    texts = words(code)["figures"]
    if figure.value is None:
        return str(texts["no_interval"])
    if figure.is_count:
        return f"{figure.value:,.0f}"
    value = _number(figure, figure.value)
    unit = {"share": " %", "points": f" {texts['points']}"}.get(figure.unit, f" {figure.unit}")
    if figure.low is None and figure.high is None:
        ends = f" ({texts['no_interval']})"
    elif figure.high is None:
        ends = f" [{texts['lower']} {_number(figure, figure.low or 0.0)}]"
    else:
        ends = f" [{_number(figure, figure.low or 0.0)}, {_number(figure, figure.high)}]"
    return f"{value}{unit.rstrip()}{ends}"


def clipped(text: str, width: int) -> str:
    """Return as much of a text as fits a width in letters, on one line; wide characters take two.

    Args:
        text: that somebody wrote.
        width: in Latin letters.
    """
    line = excerpt(text, width)
    used = 0
    for at, character in enumerate(line):
        used += 2 if east_asian_width(character) in "WFA" else 1
        if used > width:
            return f"{line[:at].rstrip('…')}…"
    return line


def _number(figure: Figure, value: float) -> str:
    if figure.unit == "share":
        return f"{_SHARE * value:.1f}"
    if figure.unit == "points":
        return f"{_SHARE * value:+.1f}"
    return f"{value:.2f}" if not figure.unit else f"{value:+,.4g}"
