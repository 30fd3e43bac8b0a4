"""Define the options of `clairkit build-pairs`, and the settings that they make."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from clairkit.cli.shared.config_file import read_config
from clairkit.cli.shared.options import (
    COLUMN_OPTIONS,
    PACE,
    PACE_OPTIONS,
    add_options,
    model_settings,
    section_option,
)
from clairkit.records.json_types import JsonMapping
from clairkit.texts import languages

if TYPE_CHECKING:
    from clairkit.generation.settings import BuildSettings
    from clairkit.records.json_types import JsonMapping

_METHODS = ("clair", "judge-on-policy", "judge-off-policy", "stronger-preferred")

_MODELS = "Models"
_REVISIONS = "Revisions"
_SAMPLING = "Sampling"
_ROWS = "Rows"
_OTHER = "Instead of a run"
_model, _revision, _sampling, _rows, _other = (
    partial(section_option, section) for section in (_MODELS, _REVISIONS, _SAMPLING, _ROWS, _OTHER)
)

_OPTIONS = (
    _model(
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=read_config((_MODELS, _REVISIONS, _SAMPLING, PACE)),
        help="YAML of the options from here to --price; the command line wins.",
    ),
    _model("--target", metavar="SPEC", help="Answers prompts without `answer`."),
    _model("--reviser", metavar="SPEC", help="Revises the answers."),
    _model("--judge", metavar="SPEC", help="Chooses between answers."),
    _model(
        "--candidates",
        metavar="SPEC|COLUMN",
        multiple=True,
        help="Whose answers judge-off-policy compares; give it once for each.",
    ),
    _model(
        "--method", type=click.Choice(_METHODS), default="clair", help="How a row becomes a pair."
    ),
    _model(
        "--samples",
        type=int,
        default=4,
        metavar="N",
        help="Answers a row that judge-on-policy compares.",
    ),
    _model("--base-url", metavar="URL", help="Server of openai: (or OPENAI_BASE_URL)."),
    _model("--target-base-url", metavar="URL", help="The target's server."),
    _model("--reviser-base-url", metavar="URL", help="The reviser's server."),
    _model("--judge-base-url", metavar="URL", help="The judge's server."),
    _model(
        "--chat-template-kwargs",
        multiple=True,
        metavar="[ROLE=]YAML",
        help="Arguments of chat templates, as {enable_thinking: false}; a run's own are used.",
    ),
    _model(
        "--fold-system", is_flag=True, help="System turns become a part of the first user turn."
    ),
    _model(
        "--body",
        metavar="FIELD=JSON",
        multiple=True,
        help="A field of each request to openai:; null takes one out.",
    ),
    _model("--target-body", metavar="FIELD=JSON", multiple=True, help="The same, to the target."),
    _model("--reviser-body", metavar="FIELD=JSON", multiple=True, help="The same, to the reviser."),
    _model("--judge-body", metavar="FIELD=JSON", multiple=True, help="The same, to the judge."),
    _revision(
        "--revision",
        type=click.Choice(("rewrite", "edits")),
        help="The whole answer anew (default), or search/replace edits of it.",
    ),
    _revision(
        "--template", metavar="NAME|FILE", help="clair, clair-paper, edits, or a file of your own."
    ),
    _revision(
        "--language",
        type=click.Choice(languages("judging/texts")),
        default="en",
        help="Of the requests; answers may be in any.",
    ),
    _revision(
        "--rubric",
        metavar="NAME|FILE,…",
        help="What counts: correctness, concise, safe, …, or files.",
    ),
    _revision("--length-neutral", is_flag=True, help="Revisions as long as answers."),
    _revision("--worsen", is_flag=True, help="Make answers worse; the answer is chosen."),
    _revision(
        "--max-edit-share",
        type=float,
        metavar="F",
        help="Ask again, then quarantine, what edits more (0 to 1).",
    ),
    _revision(
        "--gate",
        "gates",
        metavar="REASON=drop|flag|keep",
        multiple=True,
        help="What is done with a revision that has this fault.",
    ),
    _sampling("--temperature", type=float, default=1.0, help="Of answers."),
    _sampling("--top-p", type=float, default=1.0, help="Of answers."),
    _sampling("--max-new-tokens", type=int, default=512, help="Of answers."),
    _sampling("--reviser-temperature", type=float, default=0.0, help="Of revisions."),
    _sampling(
        "--reviser-max-tokens", type=int, default=4096, help="Of revisions, reasoning included."
    ),
    _sampling("--seed", type=int, default=0, help="Another one samples anew."),
    _sampling(
        "--thought-marks",
        multiple=True,
        metavar='"OPEN CLOSE"',
        help="What delimits thoughts before an answer; none for no marks.",
    ),
    *PACE_OPTIONS,
    *(_rows(name, **attributes) for name, attributes in COLUMN_OPTIONS),
    _rows("--answer-column", metavar="NAME", help="The answers' column, if not `answer`."),
    _rows("--limit", type=int, metavar="N", help="Only the first N good rows."),
    _rows("--skip-bad", is_flag=True, help="Leave out unreadable rows."),
    _rows("--shard", metavar="I/N", help="Only part I of N; see `clairkit merge`."),
    _rows("--fork", metavar="PAIRS", help="Begin with the replies of another output."),
    _rows(
        "--engine",
        type=click.Choice(("local", "ray")),
        default="local",
        help="This process, or Ray Data (needs the extra `ray`).",
    ),
    _rows("--force", is_flag=True, help="Replace the output; accept other settings."),
    _other("--dry-run", is_flag=True, help="What it would take; no network, no files."),
    _other(
        "--probes",
        type=int,
        default=0,
        metavar="N",
        help="With --dry-run: ask N rows, and measure. With --probe: its size, 20.",
    ),
    _other("--probe", is_flag=True, help="Check the reviser's health; make no pairs."),
    _other("--batch-export", metavar="FILE", help="Write requests for the Batch API."),
    _other(
        "--batch-import",
        metavar="FILE",
        multiple=True,
        help="Take in what batches left: outputs and errors.",
    ),
)

build_options = add_options(*_OPTIONS)
"""Adds all options of the command."""

_JUDGED = frozenset(("--rubric", "--language"))
_REVISED = frozenset(
    (
        *_JUDGED,
        "--revision",
        "--template",
        "--length-neutral",
        "--worsen",
        "--max-edit-share",
        "--gate",
    )
)
_TAKEN = {
    "clair": _REVISED,
    "judge-on-policy": _JUDGED | {"--samples"},
    "judge-off-policy": _JUDGED,
    "stronger-preferred": frozenset(("--gate",)),
}
_ANY = frozenset().union(*_TAKEN.values())


def make_settings(options: JsonMapping) -> BuildSettings:
    """Return the settings that the options ask for.

    Raises:
        UsageError: a value is out of range, or two do not go together.
        DataError: a template, rubric or price file can't be read.
    """
    from clairkit.generation.gates import GatePolicy
    from clairkit.generation.revision.settings import ReviseSettings
    from clairkit.generation.settings import BuildSettings
    from clairkit.journal.prices import Prices
    from clairkit.models.sampling import Sampling

    seed = options["seed"]
    candidates = (f"candidate.{number + 1}" for number in range(len(options["candidates"])))
    return BuildSettings(
        language=options["language"],
        answer_sampling=Sampling(
            temperature=options["temperature"],
            top_p=options["top_p"],
            max_new_tokens=options["max_new_tokens"],
            seed=seed,
        ),
        revise_sampling=Sampling(
            temperature=options["reviser_temperature"],
            max_new_tokens=options["reviser_max_tokens"],
            seed=seed,
        ),
        judge_sampling=Sampling(temperature=0.0, max_new_tokens=1024, seed=seed),
        models=model_settings(options, ("target", "reviser", "judge", *candidates)),
        max_calls=options["max_calls"],
        max_cost=options["max_cost"],
        prices=Prices.load(options["prices"], options["price"]),
        method=options["method"],
        revise=ReviseSettings(
            form=options["revision"] or "",
            template=options["template"],
            rubric=options["rubric"],
            language=options["language"],
            length_neutral=options["length_neutral"],
            worsen=options["worsen"],
            max_edit_share=options["max_edit_share"],
        ),
        gates=GatePolicy.parse(options["gates"]),
        samples=options["samples"],
        candidates=options["candidates"],
    )


def check_method_options(context: click.Context, method: str) -> None:
    """Refuse options of the command line that shape pairs, and not those of this method.

    Models may be named for all methods, and so may anything in the file of `--config`: one file
    serves all four.

    Raises:
        UsageError: such an option is given.
    """
    from clairkit.errors import UsageError

    given = [
        option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    dropped = [flag for flag in given if flag in _ANY - _TAKEN[method]]
    if dropped:
        has = "have" if len(dropped) > 1 else "has"
        raise UsageError(
            f"{', '.join(dropped)} {has} no effect with {method}",
            remedy="leave it out, or choose another --method",
        )
