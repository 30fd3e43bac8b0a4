"""The options of `clairkit evaluate`, and the plan that they make."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from clairkit.cli.evaluate.evidence import make_evidence
from clairkit.cli.shared.config_file import read_config
from clairkit.cli.shared.options import (
    COLUMN_OPTIONS,
    PACE,
    PACE_OPTIONS,
    add_options,
    chosen_columns,
    model_settings,
    only_once,
    section_option,
)
from clairkit.records.json_types import JsonMapping
from clairkit.texts import languages

if TYPE_CHECKING:
    from clairkit.evaluation.comparison import Contestant, NamedJudge
    from clairkit.evaluation.run import Plan
    from clairkit.models.requests import Model
    from clairkit.models.sampling import Sampling
    from clairkit.models.specs import ModelOptions
    from clairkit.records.json_types import JsonMapping

_MODELS = "Models"
_SIGNALS = "Signals"
_SAMPLING = "Sampling"
_ROWS = "Rows"
_OUTPUT = "Output"
_model, _signal, _sampling, _rows, _output = (
    partial(section_option, section) for section in (_MODELS, _SIGNALS, _SAMPLING, _ROWS, _OUTPUT)
)
_NAMED = re.compile(r"(?!(?:hf|openai|python):)([\w.-]+)=(.+)", re.DOTALL)

_OPTIONS = (
    _model(
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=read_config((_MODELS, _SIGNALS, _SAMPLING, PACE)),
        help="YAML of the options from here to --price; the command line wins.",
    ),
    _model(
        "--model",
        "models",
        required=True,
        multiple=True,
        metavar="[NAME=]SPEC",
        help="A model to be measured; several need names.",
    ),
    _model(
        "--baseline",
        metavar="[NAME=]SPEC",
        help="Another model, asked the same prompts.",
        **only_once(),
    ),
    _model("--base-url", metavar="URL", help="Server of openai: models."),
    _model("--judge-base-url", metavar="URL", help="The judges' server."),
    _model(
        "--body",
        metavar="FIELD=JSON",
        multiple=True,
        help="A field of each request to openai:; null takes one out.",
    ),
    _model("--judge-body", metavar="FIELD=JSON", multiple=True, help="The same, to judges."),
    _model(
        "--chat-template-kwargs",
        multiple=True,
        metavar="[ROLE=]YAML",
        help="Arguments of chat templates, as {enable_thinking: false}; ROLE is model, baseline or "
        "judge. A run's own are used.",
    ),
    _model(
        "--fold-system", is_flag=True, help="System turns become a part of the first user turn."
    ),
    _model(
        "--thought-marks",
        multiple=True,
        metavar='"OPEN CLOSE"',
        help="What delimits thoughts, which no check or judge sees; none for no marks.",
    ),
    _signal(
        "--check",
        metavar="python:PACKAGE:FUNCTION",
        help="Called with the prompt's messages, the answer and the row; returns whether it is "
        "right, or a score from 0 to 1.",
        **only_once(),
    ),
    _signal("--pass-at", type=float, default=1.0, help="The lowest score that is right."),
    _signal(
        "--judge",
        "judges",
        multiple=True,
        metavar="SPEC",
        help="Says which of two answers is better, in both orders; give it once for each.",
    ),
    _signal(
        "--rubric",
        metavar="NAME|FILE,…",
        help="What judges look at: general, correctness, concise, …, or files.",
    ),
    _signal(
        "--language",
        type=click.Choice(languages("judging/texts")),
        default="en",
        help="Of the requests to judges.",
    ),
    _signal(
        "--all-pairs",
        is_flag=True,
        help="Judges also compare the models with each other, not only with the baseline.",
    ),
    _signal(
        "--votes",
        metavar="FILE",
        help="People's votes on these answers, as label import wrote them; blended with judges.",
    ),
    _signal(
        "--kpi",
        metavar="kpi.yaml",
        help="KPIs of a log or a program, their utility, guards, and when it pays.",
    ),
    _signal(
        "--guards",
        multiple=True,
        metavar="YAML",
        help="What must not get worse, as {check: python:…, margin: 4} or {judge: SPEC, prompts: "
        "FILE, margin: 4}, in points; give it once for each, in --config a list.",
    ),
    _signal(
        "--cluster",
        metavar="COLUMN",
        help="Prompts with one value here belong together: a template, a customer.",
    ),
    _signal("--level", type=float, default=0.95, help="Of the intervals."),
    _signal(
        "--require-gain",
        is_flag=True,
        help="Exit with 8 or 7 unless the verdict is SHIP; see above.",
    ),
    _sampling(
        "--temperature",
        type=float,
        default=1.0,
        help="As in production; 0 takes the likeliest token.",
    ),
    _sampling("--top-p", type=float, default=1.0, help="As in production."),
    _sampling(
        "--max-new-tokens", type=int, default=512, help="Longer answers are cut, and counted."
    ),
    _sampling("--seed", type=int, default=0, help="Of the sampling, and of the intervals."),
    *PACE_OPTIONS,
    *(_rows(name, **attributes) for name, attributes in COLUMN_OPTIONS),
    _rows("--limit", type=int, metavar="N", help="Ask only the first N prompts."),
    _rows(
        "--skip-bad",
        is_flag=True,
        help="Leave out unreadable rows, and those that a template refuses.",
    ),
    _output(
        "-o",
        "--output",
        metavar="EVAL|FILE",
        help="A folder for figures, answers and verdicts; or a file of answers, a row a prompt.",
    ),
    _output("--dry-run", is_flag=True, help="What it would take; no network, no files."),
    _output("--force", is_flag=True, help="Replace the output if it exists."),
)


evaluate_options = add_options(*_OPTIONS)
"""Adds all options of the command."""


def make_plan(source: str, options: JsonMapping) -> Plan:
    """Return what the options ask for, after a look at all prompts.

    Raises:
        UsageError: a spec or value is wrong, or options do not go together.
        DataError: the prompts, a rubric or a price file can't be read.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    from clairkit.evaluation.checks import load_check
    from clairkit.evaluation.comparison import Comparison
    from clairkit.evaluation.evaluate import Scorer
    from clairkit.evaluation.run import Plan
    from clairkit.journal.prices import Prices
    from clairkit.models.sampling import Sampling
    from clairkit.records import read_prompts
    from clairkit.statistics.estimates import Resampling

    _check_combination(options)
    check, seed = options["check"], options["seed"]
    names = ("temperature", "top_p", "max_new_tokens", "seed")
    sampling = Sampling(**{name: options[name] for name in names})
    scorer = None if check is None else Scorer(load_check(check), options["pass_at"])
    contestants = tuple(_contestants(options))
    running = model_settings(
        options, ("model", "baseline", "judge"), needs_key=not options["dry_run"]
    )
    comparison = Comparison(
        tuple(_with_models(contestants, running)),
        sampling,
        tuple(_judges(options, running)),
        all_pairs=options["all_pairs"],
    )
    stream = read_prompts(
        source,
        skip_bad=options["skip_bad"],
        limit=options["limit"],
        columns=chosen_columns(options),
    )
    prompts = tuple(sorted(stream, key=lambda row: row.id))
    return Plan(
        comparison=comparison,
        prompts=prompts,
        source=source,
        scorer=scorer,
        check=check,
        rubric=options["rubric"] or "general",
        cluster=options["cluster"],
        resampling=Resampling(level=options["level"], seed=seed),
        prices=Prices.load(options["prices"], options["price"]),
        max_calls=options["max_calls"],
        max_cost=options["max_cost"],
        skip_refused=options["skip_bad"],
        skipped=dict(sorted(stream.skipped.items())),
        evidence=make_evidence(options, comparison, prompts, _judge_maker(options, running)),
    )


def _check_combination(options: JsonMapping) -> None:
    from clairkit.errors import UsageError

    if options["require_gain"] and options["baseline"] is None:
        raise UsageError("--require-gain compares with a baseline", remedy="give --baseline")
    sources = ("check", "judges", "votes", "kpi")
    if not any(options[name] for name in sources):
        raise UsageError("nothing says which answers are good", remedy="give --check or --judge")
    for name, flag in (("judges", "judge"), ("votes", "votes"), ("kpi", "kpi"), ("guards",) * 2):
        if options[name] and options["baseline"] is None:
            raise UsageError(f"--{flag} compares with a baseline", remedy="give --baseline")


@dataclasses.dataclass(frozen=True)
class _Named:
    """A model as the user named it, before it is made."""

    name: str
    spec: str
    is_baseline: bool = False


def _contestants(options: JsonMapping) -> Iterator[_Named]:
    """Yield the models in the order in which they are asked: the baseline first.

    Raises:
        UsageError: two have one name.
    """
    from clairkit.errors import UsageError

    named = [_named(text, "model") for text in options["models"]]
    if options["baseline"] is not None:
        base = _named(options["baseline"], "baseline")
        named.insert(0, dataclasses.replace(base, is_baseline=True))
    names = [each.name for each in named]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two models have the name {name}",
                received=" and ".join(each.spec for each in named if each.name == name),
                remedy="give each a name of its own: --model NAME=SPEC",
            )
    yield from named


def _named(text: str, default: str) -> _Named:
    match = _NAMED.fullmatch(text)
    return _Named(default, text) if match is None else _Named(match[1], match[2])


def _with_models(named: Sequence[_Named], options: ModelOptions) -> Iterator[Contestant]:
    """Yield the models; one spec under two names is one model, with one set of limits."""
    from clairkit.evaluation.comparison import Contestant
    from clairkit.models.specs import make_model

    made: dict[str, Model] = {}
    for each in named:
        role = "baseline" if each.is_baseline else "model"
        chat = options.chat_of(role)
        place = f"{each.spec} {sorted(chat.changed().items())}"
        if place not in made:
            made[place] = make_model(each.spec, dataclasses.replace(options, chat={"": chat}))
        yield Contestant(each.name, each.spec, made[place], each.is_baseline)


def _judges(options: JsonMapping, model_options: ModelOptions) -> Iterator[NamedJudge]:
    from clairkit.errors import UsageError

    specs = options["judges"]
    if len(set(specs)) < len(specs):
        raise UsageError("a judge is named twice", received=", ".join(specs))
    yield from map(_judge_maker(options, model_options), specs)


def _judge_maker(options: JsonMapping, model_options: ModelOptions) -> Callable[[str], NamedJudge]:
    """Return what makes a judge of its spec."""
    from clairkit.evaluation.comparison import NamedJudge
    from clairkit.judging.judge import Judge
    from clairkit.judging.rubrics import load_rubric
    from clairkit.models.specs import make_model

    def make(spec: str) -> NamedJudge:
        rubric = load_rubric(options["rubric"], options["language"])
        model = make_model(spec, model_options, role="judge")
        sampling = _judging(options["seed"])
        judge = Judge(model, sampling, rubric.text, options["language"], form="grade")
        return NamedJudge(spec, judge)

    return make


def _judging(seed: int) -> Sampling:
    from clairkit.models.sampling import Sampling

    return Sampling(temperature=0.0, max_new_tokens=1024, seed=seed)
