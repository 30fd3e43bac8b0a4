"""Define the options of `clairkit build-pairs`, and the settings that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.decorators import FC

from clairkit.cli.shared.column_options import COLUMN_OPTIONS
from clairkit.cli.shared.config_file import read_config
from clairkit.cli.shared.option_sections import section_option
from clairkit.cli.shared.pace_options import PACE, PACE_OPTIONS
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.texts import languages

if TYPE_CHECKING:
    from clairkit.generation.settings import BuildSettings

_METHODS = ("clair", "judge-on-policy", "judge-off-policy", "stronger-preferred")


_MODELS = "Models"
_REVISIONS = "Revisions"
_SAMPLING = "Sampling"
_ROWS = "Rows"
_OTHER = "Instead of a run"

_OPTIONS = (
    section_option(
        _MODELS,
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=read_config((_MODELS, _REVISIONS, _SAMPLING, PACE)),
        help="YAML of the options from here to --price; the command line wins.",
    ),
    section_option(_MODELS, "--target", metavar="SPEC", help="Answers prompts without `answer`."),
    section_option(_MODELS, "--reviser", metavar="SPEC", help="Revises the answers."),
    section_option(_MODELS, "--judge", metavar="SPEC", help="Chooses between answers."),
    section_option(
        _MODELS,
        "--candidates",
        metavar="SPEC|COLUMN",
        multiple=True,
        help="Whose answers judge-off-policy compares; give it once for each.",
    ),
    section_option(
        _MODELS,
        "--method",
        type=click.Choice(_METHODS),
        default="clair",
        help="How a row becomes a pair.",
    ),
    section_option(
        _MODELS,
        "--samples",
        type=int,
        default=4,
        metavar="N",
        help="Answers a row that judge-on-policy compares.",
    ),
    section_option(
        _MODELS, "--base-url", metavar="URL", help="Server of openai: (or OPENAI_BASE_URL)."
    ),
    section_option(_MODELS, "--target-base-url", metavar="URL", help="The target's server."),
    section_option(_MODELS, "--reviser-base-url", metavar="URL", help="The reviser's server."),
    section_option(_MODELS, "--judge-base-url", metavar="URL", help="The judge's server."),
    section_option(
        _MODELS,
        "--chat-template-kwargs",
        multiple=True,
        metavar="[ROLE=]YAML",
        help="Arguments of chat templates, as {enable_thinking: false}; a run's own are used.",
    ),
    section_option(
        _MODELS,
        "--fold-system",
        is_flag=True,
        help="System turns become a part of the first user turn.",
    ),
    section_option(
        _MODELS,
        "--body",
        metavar="FIELD=JSON",
        multiple=True,
        help="A field of each request to openai:; null takes one out.",
    ),
    section_option(
        _MODELS,
        "--target-body",
        metavar="FIELD=JSON",
        multiple=True,
        help="The same, to the target.",
    ),
    section_option(
        _MODELS,
        "--reviser-body",
        metavar="FIELD=JSON",
        multiple=True,
        help="The same, to the reviser.",
    ),
    section_option(
        _MODELS, "--judge-body", metavar="FIELD=JSON", multiple=True, help="The same, to the judge."
    ),
    section_option(
        _REVISIONS,
        "--revision",
        type=click.Choice(("rewrite", "edits")),
        help="The whole answer anew (default), or search/replace edits of it.",
    ),
    section_option(
        _REVISIONS,
        "--template",
        metavar="NAME|FILE",
        help="clair, clair-paper, edits, or a file of your own.",
    ),
    section_option(
        _REVISIONS,
        "--language",
        type=click.Choice(languages("judging/texts")),
        default="en",
        help="Of the requests; answers may be in any.",
    ),
    section_option(
        _REVISIONS,
        "--rubric",
        metavar="NAME|FILE,…",
        help="What counts: correctness, concise, safe, …, or files.",
    ),
    section_option(
        _REVISIONS, "--length-neutral", is_flag=True, help="Revisions as long as answers."
    ),
    section_option(
        _REVISIONS, "--worsen", is_flag=True, help="Make answers worse; the answer is chosen."
    ),
    section_option(
        _REVISIONS,
        "--max-edit-share",
        type=float,
        metavar="F",
        help="Ask again, then quarantine, what edits more (0 to 1).",
    ),
    section_option(
        _REVISIONS,
        "--gate",
        "gates",
        metavar="REASON=drop|flag|keep",
        multiple=True,
        help="What is done with a revision that has this fault.",
    ),
    section_option(_SAMPLING, "--temperature", type=float, default=1.0, help="Of answers."),
    section_option(_SAMPLING, "--top-p", type=float, default=1.0, help="Of answers."),
    section_option(_SAMPLING, "--max-new-tokens", type=int, default=512, help="Of answers."),
    section_option(
        _SAMPLING, "--reviser-temperature", type=float, default=0.0, help="Of revisions."
    ),
    section_option(
        _SAMPLING,
        "--reviser-max-tokens",
        type=int,
        default=4096,
        help="Of revisions, reasoning included.",
    ),
    section_option(_SAMPLING, "--seed", type=int, default=0, help="Another one samples anew."),
    section_option(
        _SAMPLING,
        "--thought-marks",
        multiple=True,
        metavar='"OPEN CLOSE"',
        help="What delimits thoughts before an answer; none for no marks.",
    ),
    *PACE_OPTIONS,
    *(section_option(_ROWS, name, **attributes) for name, attributes in COLUMN_OPTIONS),
    section_option(
        _ROWS, "--answer-column", metavar="NAME", help="The answers' column, if not `answer`."
    ),
    section_option(_ROWS, "--limit", type=int, metavar="N", help="Only the first N good rows."),
    section_option(_ROWS, "--skip-bad", is_flag=True, help="Leave out unreadable rows."),
    section_option(_ROWS, "--shard", metavar="I/N", help="Only part I of N; see `clairkit merge`."),
    section_option(
        _ROWS, "--fork", metavar="PAIRS", help="Begin with the replies of another output."
    ),
    section_option(
        _ROWS,
        "--engine",
        type=click.Choice(("local", "ray")),
        default="local",
        help="This process, or Ray Data (needs the extra `ray`).",
    ),
    section_option(
        _ROWS, "--force", is_flag=True, help="Replace the output; accept other settings."
    ),
    section_option(
        _OTHER, "--dry-run", is_flag=True, help="What it would take; no network, no files."
    ),
    section_option(
        _OTHER,
        "--probes",
        type=int,
        default=0,
        metavar="N",
        help="With --dry-run: ask N rows, and measure. With --probe: its size, 20.",
    ),
    section_option(
        _OTHER, "--probe", is_flag=True, help="Check the reviser's health; make no pairs."
    ),
    section_option(
        _OTHER, "--batch-export", metavar="FILE", help="Write requests for the Batch API."
    ),
    section_option(
        _OTHER,
        "--batch-import",
        metavar="FILE",
        multiple=True,
        help="Take in what batches left: outputs and errors.",
    ),
)


def build_options(function: FC) -> FC:
    """Add all options of the command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def make_settings(options: JsonMapping) -> BuildSettings:
    """Return the settings that the options ask for.

    Raises:
        UsageError: a value is out of range, or two do not go together.
        DataError: a template, rubric or price file can't be read.
    """
    from clairkit.generation.gates import GatePolicy
    from clairkit.generation.revision.revise import ReviseSettings
    from clairkit.generation.settings import BuildSettings
    from clairkit.journal.prices import Prices
    from clairkit.models.sampling import Sampling

    seed = options["seed"]
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
        models=_model_options(options),
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


def _model_options(options: JsonMapping) -> Any:
    from clairkit.models.server.chat_options import parse_chat
    from clairkit.models.server.request_body import parse_body
    from clairkit.models.specs import ModelOptions
    from clairkit.records.thoughts import parse_marks

    candidates = (f"candidate.{number + 1}" for number in range(len(options["candidates"])))
    roles = ("target", "reviser", "judge", *candidates)
    names = (
        "concurrency",
        "batch_size",
        "timeout",
        "base_url",
        "target_base_url",
        "reviser_base_url",
        "judge_base_url",
        "requests_per_minute",
        "tokens_per_minute",
    )
    given: JsonObject = {name: options[name] for name in names}
    for name in ("body", "target_body", "reviser_body", "judge_body"):
        given[name] = parse_body(options[name])
    marks = parse_marks(options["thought_marks"])
    chat = parse_chat(options["chat_template_kwargs"], roles, fold_system=options["fold_system"])
    return ModelOptions(**given, thought_marks=marks, chat=chat)
