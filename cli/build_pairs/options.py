"""Define the options of `clairkit build-pairs`, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.decorators import FC

from clairkit.cli.shared.column_options import COLUMN_OPTIONS
from clairkit.cli.shared.config_file import read_config
from clairkit.cli.shared.option_sections import SectionOption
from clairkit.records.json_types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from clairkit.generation.settings import BuildSettings

_METHODS = ("clair", "judge-on-policy", "judge-off-policy", "stronger-preferred")


def _option(section: str, *names: str, **attributes: Any) -> Callable[[FC], FC]:
    shown = attributes.get("default") is not None and not attributes.get("is_flag")
    return click.option(
        *names, cls=SectionOption, section=section, show_default=shown, **attributes
    )


_MODELS = "Models"
_REVISIONS = "Revisions"
_SAMPLING = "Sampling"
_PACE = "Pace and cost"
_ROWS = "Rows"
_OTHER = "Instead of a run"

_OPTIONS = (
    _option(
        _MODELS,
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=read_config((_MODELS, _REVISIONS, _SAMPLING, _PACE)),
        help="YAML of the options from here to --price; the command line wins.",
    ),
    _option(_MODELS, "--target", metavar="SPEC", help="Answers prompts without `answer`."),
    _option(_MODELS, "--reviser", metavar="SPEC", help="Revises the answers."),
    _option(_MODELS, "--judge", metavar="SPEC", help="Chooses between answers."),
    _option(
        _MODELS,
        "--candidates",
        metavar="SPEC|COLUMN",
        multiple=True,
        help="Whose answers judge-off-policy compares; give it once for each.",
    ),
    _option(
        _MODELS,
        "--method",
        type=click.Choice(_METHODS),
        default="clair",
        help="How a row becomes a pair.",
    ),
    _option(
        _MODELS,
        "--samples",
        type=int,
        default=4,
        metavar="N",
        help="Answers a row that judge-on-policy compares.",
    ),
    _option(_MODELS, "--base-url", metavar="URL", help="Server of openai: (or OPENAI_BASE_URL)."),
    _option(_MODELS, "--target-base-url", metavar="URL", help="The target's server."),
    _option(_MODELS, "--reviser-base-url", metavar="URL", help="The reviser's server."),
    _option(_MODELS, "--judge-base-url", metavar="URL", help="The judge's server."),
    _option(
        _MODELS,
        "--chat-template-kwargs",
        multiple=True,
        metavar="[ROLE=]YAML",
        help="Arguments of chat templates, as {enable_thinking: false}; a run's own are used.",
    ),
    _option(
        _MODELS,
        "--fold-system",
        is_flag=True,
        help="System turns become a part of the first user turn.",
    ),
    _option(
        _MODELS,
        "--body",
        metavar="FIELD=JSON",
        multiple=True,
        help="A field of each request to openai:; null takes one out.",
    ),
    _option(
        _MODELS,
        "--target-body",
        metavar="FIELD=JSON",
        multiple=True,
        help="The same, to the target.",
    ),
    _option(
        _MODELS,
        "--reviser-body",
        metavar="FIELD=JSON",
        multiple=True,
        help="The same, to the reviser.",
    ),
    _option(
        _MODELS, "--judge-body", metavar="FIELD=JSON", multiple=True, help="The same, to the judge."
    ),
    _option(
        _REVISIONS,
        "--revision",
        type=click.Choice(("rewrite", "edits")),
        help="The whole answer anew (default), or search/replace edits of it.",
    ),
    _option(
        _REVISIONS,
        "--template",
        metavar="NAME|FILE",
        help="clair, clair-paper, edits, or a file of your own.",
    ),
    _option(
        _REVISIONS,
        "--language",
        type=click.Choice(("en", "ja")),
        default="en",
        help="Of the requests; answers may be in any.",
    ),
    _option(
        _REVISIONS,
        "--rubric",
        metavar="NAME|FILE,…",
        help="What counts: correctness, concise, safe, …, or files.",
    ),
    _option(_REVISIONS, "--length-neutral", is_flag=True, help="Revisions as long as answers."),
    _option(_REVISIONS, "--worsen", is_flag=True, help="Make answers worse; the answer is chosen."),
    _option(
        _REVISIONS,
        "--max-edit-share",
        type=float,
        metavar="F",
        help="Ask again, then quarantine, what edits more (0 to 1).",
    ),
    _option(
        _REVISIONS,
        "--gate",
        "gates",
        metavar="REASON=drop|flag|keep",
        multiple=True,
        help="What is done with a revision that has this fault.",
    ),
    _option(_SAMPLING, "--temperature", type=float, default=1.0, help="Of answers."),
    _option(_SAMPLING, "--top-p", type=float, default=1.0, help="Of answers."),
    _option(_SAMPLING, "--max-new-tokens", type=int, default=512, help="Of answers."),
    _option(_SAMPLING, "--reviser-temperature", type=float, default=0.0, help="Of revisions."),
    _option(
        _SAMPLING,
        "--reviser-max-tokens",
        type=int,
        default=4096,
        help="Of revisions, reasoning included.",
    ),
    _option(_SAMPLING, "--seed", type=int, default=0, help="Another one samples anew."),
    _option(
        _SAMPLING,
        "--thought-marks",
        multiple=True,
        metavar='"OPEN CLOSE"',
        help="What delimits thoughts before an answer; none for no marks.",
    ),
    _option(_PACE, "--concurrency", type=int, default=8, help="Requests at once to a model."),
    _option(_PACE, "--batch-size", type=int, default=16, help="Rows at once in hf: models."),
    _option(_PACE, "--timeout", type=float, default=600.0, help="Of one request, in seconds."),
    _option(_PACE, "--requests-per-minute", type=float, metavar="N", help="To each model."),
    _option(_PACE, "--tokens-per-minute", type=float, metavar="N", help="To and from each model."),
    _option(_PACE, "--max-calls", type=int, metavar="N", help="Stop before more, resumably."),
    _option(_PACE, "--max-cost", type=float, metavar="US$", help="Stop before more, resumably."),
    _option(_PACE, "--prices", metavar="FILE", help="YAML: MODEL: {input: US$, output: US$}."),
    _option(
        _PACE,
        "--price",
        "price",
        metavar="MODEL=IN,OUT",
        multiple=True,
        help="US$ per million tokens.",
    ),
    *(_option(_ROWS, name, **attributes) for name, attributes in COLUMN_OPTIONS),
    _option(_ROWS, "--limit", type=int, metavar="N", help="Only the first N good rows."),
    _option(_ROWS, "--skip-bad", is_flag=True, help="Leave out unreadable rows."),
    _option(_ROWS, "--shard", metavar="I/N", help="Only part I of N; see `clairkit merge`."),
    _option(_ROWS, "--fork", metavar="PAIRS", help="Begin with the replies of another output."),
    _option(
        _ROWS,
        "--engine",
        type=click.Choice(("local", "ray")),
        default="local",
        help="This process, or Ray Data (needs the extra `ray`).",
    ),
    _option(_ROWS, "--force", is_flag=True, help="Replace the output; accept other settings."),
    _option(_OTHER, "--dry-run", is_flag=True, help="What it would take; no network, no files."),
    _option(
        _OTHER,
        "--probes",
        type=int,
        default=0,
        metavar="N",
        help="With --dry-run: ask N rows, and measure. With --probe: its size, 20.",
    ),
    _option(_OTHER, "--probe", is_flag=True, help="Check the reviser's health; make no pairs."),
    _option(_OTHER, "--batch-export", metavar="FILE", help="Write requests for the Batch API."),
    _option(
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
