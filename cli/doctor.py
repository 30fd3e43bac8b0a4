"""Define `clairkit doctor`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.console import Console, output_options, width_of
from clairkit.cli.shared.streams import messages, results

if TYPE_CHECKING:
    from clairkit.doctor import MachineFinding

_NAME, _STATUS = 22, 8  # columns, where there is room for columns
_NARROW = 60


@click.command("doctor", short_help="What this machine offers, and what is missing.")
@output_options
def command(as_json: bool, quiet: bool) -> None:
    """Show what this machine offers, and what is missing with its remedy.

    Each line is ok, warning or missing. Exits with 0 when clairkit is usable, with 5 when a piece
    it cannot do without is broken. Values of secret variables are never shown.
    """
    from clairkit.doctor import broken, examine
    from clairkit.errors import ResourceError

    console = Console(as_json=as_json, quiet=quiet)
    findings = examine()
    lacking = broken(findings)
    width = width_of(messages() if as_json else results())
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            console.show(topic)
        console.show(_line(finding, width))
    console.result({"usable": not lacking, "findings": [finding.to_json() for finding in findings]})
    if lacking:
        names = ", ".join(finding.name for finding in lacking)
        raise ResourceError(f"clairkit cannot work here: {names} missing", remedy=lacking[0].remedy)
    console.show("\n".join(_wrapped("clairkit is usable here.", width, 0)))


def _line(finding: MachineFinding, width: int) -> str:
    remedy = [f"-> {finding.remedy}"] if finding.remedy else []
    if width < _NARROW:
        head = f"{finding.status} {finding.name}"
        return "\n".join(
            _wrapped(head, width, 2)
            + [line for text in (finding.detail, *remedy) for line in _wrapped(text, width, 4, 4)]
        )
    indent = 2 + _STATUS + _NAME
    head = f"  {finding.status:<{_STATUS}}{finding.name:<{_NAME - 1}} {finding.detail}"
    below = [line for text in remedy for line in _wrapped(text, width, indent + 3, indent)]
    return "\n".join(_wrapped(head, width, indent) + below)


def _wrapped(text: str, width: int, later: int, first: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * later,
        drop_whitespace=True,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [text]
