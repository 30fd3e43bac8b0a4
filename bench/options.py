"""List the options of `clairkit bench` and of `python -m clairkit.bench.kernels`, each once.

Click's options and argparse's are made from this table. Imports the standard library alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["both", "step", "kernels", "bare"]


@dataclass(frozen=True)
class Option:
    """One option."""

    flags: tuple[str, ...]  # as they are typed; the last one names the value
    kind: type | tuple[str, ...]  # of the value; bool: a flag; a tuple: one of these words
    help: str = ""  # for people
    metavar: str | None = None  # stands for the value in the help
    # Who has it: both suites, one of them, or the bare entry alone. The bare entry has those of the
    # kernel suite, too.
    scope: Scope = "both"
    many: bool = False  # it may be repeated
    default: str | float | None = None  # of a value that has one here
    least: int = 0  # the smallest number that is allowed

    @property
    def name(self) -> str:
        return self.flags[-1].removeprefix("--").replace("-", "_")


OPTIONS = (
    Option(("--quick",), bool, "A few small cases, to see that it works."),
    Option(("--case",), str, "This case; repeatable. kernels: or a pattern.", "NAME", many=True),
    Option(
        ("--kernel",),
        str,
        "step: another kernel of clairkit, beside the one it takes by itself; repeatable.",
        "NAME",
        "step",
        many=True,
    ),
    Option(
        ("--peers",),
        str,
        "What to compare with. step: trl, plain; the first is the base.  [default: step plain; "
        "kernels trl,liger,cce,torch]",
        "NAMES",
    ),
    Option(
        ("--variant",),
        str,
        "step: measure these variants alone; repeatable.",
        "NAME",
        "step",
        many=True,
    ),
    Option(
        ("--repeats", "--rounds"),
        int,
        "Rounds.  [default: step 5, or 3 if quick; kernels 3]",
        "N",
        least=1,
    ),
    Option(("--device",), ("auto", "cpu", "cuda"), default="auto"),
    Option(("--budget-minutes",), float, "kernels: begin no point later.", "N", scope="kernels"),
    Option(
        ("--resume",), bool, "kernels: keep the points that the JSON FILE holds.", scope="kernels"
    ),
    Option(
        ("--plot",), str, "kernels: time and memory over length, an SVG.", "FILE", scope="kernels"
    ),
    Option(("--markdown",), bool, "Markdown in place of tables."),
    Option(("--json",), str, "Written after each measurement.", "FILE", scope="bare"),
    Option(("--summary",), bool, "A line a point in place of tables.", scope="bare"),
    Option(("--apart",), bool, "Each variant in a process of its own, as on a GPU.", scope="bare"),
    Option(
        ("--ready-seconds",),
        float,
        "Apart: leave out what is not compiled and tuned by then.  [default: 45]",
        "N",
        "bare",
    ),
    Option(("--commit",), str, "For the JSON, where no git can tell.", "NAME", "bare"),
    Option(("--from",), str, "Measure nothing, show what FILE holds.", "FILE", "bare"),
)


def options_of(*scopes: Scope) -> tuple[Option, ...]:
    """Return the options of some scopes, in order."""
    return tuple(option for option in OPTIONS if option.scope in scopes)
