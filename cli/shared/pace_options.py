"""Hold the options that say how fast models are asked, and what that may cost."""

from __future__ import annotations

from clairkit.cli.shared.option_sections import section_option

PACE = "Pace and cost"
PACE_OPTIONS = (
    section_option(PACE, "--concurrency", type=int, default=8, help="Requests at once to a model."),
    section_option(PACE, "--batch-size", type=int, default=16, help="Rows at once in hf: models."),
    section_option(
        PACE, "--timeout", type=float, default=600.0, help="Of one request, in seconds."
    ),
    section_option(PACE, "--requests-per-minute", type=float, metavar="N", help="To each model."),
    section_option(
        PACE, "--tokens-per-minute", type=float, metavar="N", help="To and from each model."
    ),
    section_option(PACE, "--max-calls", type=int, metavar="N", help="Stop before more, resumably."),
    section_option(
        PACE, "--max-cost", type=float, metavar="US$", help="Stop before more, resumably."
    ),
    section_option(
        PACE, "--prices", metavar="FILE", help="YAML: MODEL: {input: US$, output: US$}."
    ),
    section_option(
        PACE,
        "--price",
        "price",
        metavar="MODEL=IN,OUT",
        multiple=True,
        help="US$ per million tokens.",
    ),
)
"""Each adds an option to a command."""
