"""`clairkit evaluate`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.shared.column_options import column_options
from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.once_option import once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clairkit.evaluation import Difference, Evaluation


@click.command("evaluate", short_help="How often a model is right on held-out prompts.")
@click.argument("prompts")
@once("--model", required=True, metavar="SPEC", help="The model to be measured.")
@once("--baseline", metavar="SPEC", help="Another model, asked the same prompts.")
@once(
    "--check",
    required=True,
    metavar="python:PACKAGE:FUNCTION",
    help="Called with the prompt's messages, the answer and the row; returns whether it is right, "
    "or a score from 0 to 1.",
)
@click.option(
    "--pass-at", type=float, default=1.0, show_default=True, help="The lowest score that is right."
)
@click.option("-o", "--output", help="Write the answers here, a row a prompt.")
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    show_default=True,
    help="As in production; 0 takes the likeliest token.",
)
@click.option("--top-p", type=float, default=1.0, show_default=True, help="As in production.")
@click.option(
    "--max-new-tokens",
    type=int,
    default=512,
    show_default=True,
    help="Longer answers are cut, and counted.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampling.")
@click.option("--limit", type=int, help="Ask only the first N prompts.")
@column_options
@click.option("--base-url", metavar="URL", help="Server of openai: (or OPENAI_BASE_URL).")
@click.option(
    "--body",
    metavar="FIELD=JSON",
    multiple=True,
    help="A field of each request to openai:; null takes one out.",
)
@click.option("--concurrency", type=int, default=8, show_default=True, help="Requests at once.")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Rows at once, hf:.")
@click.option(
    "--chat-template-kwargs",
    multiple=True,
    metavar="[ROLE=]YAML",
    help="Arguments of chat templates, as {enable_thinking: false}; ROLE is model or "
    "baseline. A run's own are used.",
)
@click.option(
    "--fold-system", is_flag=True, help="System turns become a part of the first user turn."
)
@click.option(
    "--thought-marks",
    multiple=True,
    metavar='"OPEN CLOSE"',
    help="What delimits thoughts, which no check sees; none for no marks.",
)
@click.option("--require-gain", is_flag=True, help="Exit with 8 or 7 without a gain; see above.")
@click.option(
    "--skip-bad", is_flag=True, help="Leave out unreadable rows, and those that a template refuses."
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@output_options
def command(
    prompts: str,
    model: str,
    baseline: str | None,
    check: str,
    output: str | None,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Ask a model held-out PROMPTS, and count how many answers are right.

    SPEC is hf:ID_OR_PATH, openai:MODEL or python:PACKAGE:FUNCTION, as for build-pairs. A prompt
    without an answer counts as wrong, and its reason is shown.

    One answer a prompt is sampled; its randomness comes from --seed and the row's id. The
    proportion stands with Wilson's 95 % interval. With --baseline, the change stands with
    Newcombe's paired 95 % interval: both models are asked the same prompts.

    The exit code is 0 whatever the result, unless --require-gain is given: then 0 means that the
    whole interval of the change lies above 0, 8 that it includes 0 (more prompts are needed), and
    7 that it lies below.
    """
    from clairkit.errors import UsageError
    from clairkit.evaluation import (
        compare,
        load_check,
        score_change,
        score_sentence,
        sentence,
    )

    console = Console(as_json=as_json, quiet=quiet)
    if flags["require_gain"] and baseline is None:
        raise UsageError("--require-gain compares with a baseline", remedy="give --baseline")
    if output is not None:
        from clairkit.records import check_output

        check_output(output, force=flags["force"])
    job = _Job(load_check(check), prompts, flags, console)
    job.check_specs(model, baseline)
    before = job.evaluate(baseline, "baseline") if baseline is not None else None
    after = job.evaluate(model, "model")
    after, before = job.without_refused(after, before)
    difference = compare(before, after) if before is not None else None
    _show(console, job.title(after.n, model, baseline), after, before, difference)
    console.show(sentence(after, difference))
    if after.has_scores:
        change = None if before is None else score_change(before, after)
        console.show(score_sentence(after, before, change))
    if output is not None:
        _write(output, (model, after), (baseline, before), force=flags["force"])
        console.show(f"Answers: {output}")
    console.result(_result(job, (model, after), (baseline, before), difference, output))
    if flags["require_gain"] and difference is not None:
        _require_gain(difference)


class _Job:
    """The prompts, the check and the sampling that every model of a run shares."""

    def __init__(self, check: Any, source: str, flags: dict[str, Any], console: Console) -> None:
        from clairkit.models.sampling import Sampling
        from clairkit.models.server.chat_options import parse_chat
        from clairkit.models.server.request_body import parse_body
        from clairkit.models.specs import ModelOptions
        from clairkit.records import read_prompts
        from clairkit.records.thoughts import parse_marks

        names = ("temperature", "top_p", "max_new_tokens", "seed")
        self.sampling = Sampling(**{name: flags[name] for name in names})
        self.options = ModelOptions(
            chat=parse_chat(
                flags["chat_template_kwargs"],
                ("model", "baseline"),
                fold_system=flags["fold_system"],
            ),
            base_url=flags["base_url"],
            concurrency=flags["concurrency"],
            batch_size=flags["batch_size"],
            body=parse_body(flags["body"]),
            thought_marks=parse_marks(flags["thought_marks"]),
        )
        stream = read_prompts(
            source,
            skip_bad=flags["skip_bad"],
            limit=flags["limit"],
            columns=flags["columns"],
        )
        self.prompts = list(stream)
        self.skipped = dict(sorted(stream.skipped.items()))
        self._check = check
        self._skip_bad = flags["skip_bad"]
        self._pass_at = flags["pass_at"]
        self._console = console
        if self.skipped:
            listed = ", ".join(f"{name} {count}" for name, count in self.skipped.items())
            console.warn(f"bad rows skipped: {listed}")

    def without_refused(
        self, after: Evaluation, before: Evaluation | None
    ) -> tuple[Evaluation, Evaluation | None]:
        """Leave out, of all models, what one's chat template refuses, where that is asked for."""
        refused = after.refused | (frozenset() if before is None else before.refused)
        if not refused or not self._skip_bad:
            return after, before
        self.skipped = {**self.skipped, "template_refused": len(refused)}
        self._console.warn(f"left out, since a chat template refuses them: {len(refused)} prompts")
        return after.without(refused), None if before is None else before.without(refused)

    def check_specs(self, *specs: str | None) -> None:
        """Refuse a wrong spec before the first model has done its work."""
        from clairkit.models.specs import make_model

        for spec in specs:
            if spec is not None:
                make_model(spec, self.options)

    def trained_on(self, spec: str | None) -> int | None:
        """Return how many of the prompts a model was trained on; None when nothing says so."""
        from pathlib import Path

        from clairkit.records.leakage import prompt_digest, read_trained_prompts

        if spec is None or not spec.startswith("hf:"):
            return None
        known = read_trained_prompts(Path(spec.removeprefix("hf:")))
        return None if known is None else sum(prompt_digest(row) in known for row in self.prompts)

    def title(self, count: int, *specs: str | None) -> str:
        """Return what the prompts are called, after a warning of those that were trained on."""
        seen = {spec: self.trained_on(spec) for spec in specs if spec is not None}
        for spec, trained in seen.items():
            if trained:
                self._console.warn(
                    f"{spec} was trained on {trained} of these {len(self.prompts)} prompts: they "
                    "are not held out, and its answers to them say little of others"
                )
        known = [trained for trained in seen.values() if trained is not None]
        held_out = "held-out " if known and not any(known) else ""
        return f"Right answers on {count} {held_out}prompts, 95 % intervals"

    def evaluate(self, spec: str, name: str) -> Evaluation:
        from clairkit.evaluation import evaluate

        self._console.note(f"Asking the {name}, {spec}")
        found = evaluate(
            spec,
            self.prompts,
            self._check,
            self.sampling,
            pass_at=self._pass_at,
            options=dataclasses.replace(self.options, chat={"": self.options.chat_of(name)}),
            say=self._console.note,
        )
        if found.cut:
            self._console.warn(
                f"{found.cut} of {found.n} answers of the {name} were cut at "
                f"{self.sampling.max_new_tokens} tokens; see --max-new-tokens"
            )
        if found.failures:
            listed = ", ".join(f"{reason} {count}" for reason, count in found.failures.items())
            self._console.warn(f"no answer of the {name}, counted as wrong: {listed}")
        return found


def _show(
    console: Console,
    title: str,
    after: Evaluation,
    before: Evaluation | None,
    difference: Difference | None,
) -> None:
    from clairkit.evaluation.wording import percent, points

    rows: list[Sequence[str]] = []
    for name, found in (("model", after), ("baseline", before)):
        if found is not None:
            low, high = percent(found.interval.low), percent(found.interval.high)
            counted = f"{found.successes}/{found.n}"
            rows.append([name, counted, percent(found.share), low, high, f"{found.mean_score:.3f}"])
    if difference is not None:
        low, high = points(difference.low, unit=False), points(difference.high, unit=False)
        changed = f"+{difference.gained} -{difference.lost}"
        rows.append(["change", changed, points(difference.estimate, unit=False), low, high, ""])
    console.table(
        title,
        ["", "right", "share", "low", "high", "mean score"],
        rows,
        note="change: percentage points, on the same prompts" if difference is not None else "",
    )


def _write(
    output: str,
    model: tuple[str, Evaluation],
    baseline: tuple[str | None, Evaluation | None],
    *,
    force: bool,
) -> None:
    from clairkit.records import write_rows

    rows = [{**row.to_json(), "model": model[0]} for row in model[1].rows]
    if baseline[1] is not None:
        for row, other in zip(rows, baseline[1].rows, strict=True):
            row["baseline"] = {**other.outcome(), "model": baseline[0]}
    write_rows(output, rows, force=force)


def _result(
    job: _Job,
    model: tuple[str, Evaluation],
    baseline: tuple[str | None, Evaluation | None],
    difference: Difference | None,
    output: str | None,
) -> dict[str, Any]:
    change = scores = None
    if difference is not None:
        change = {**dataclasses.asdict(difference), "verdict": difference.verdict}
        scores = _score_difference(model[1], baseline[1])
    return {
        "model": _measured(job, *model),
        "baseline": None if baseline[1] is None else _measured(job, baseline[0], baseline[1]),
        "difference": change,
        "score_difference": scores,
        "sampling": job.sampling.to_json(),
        "skipped": job.skipped,
        "output": output,
    }


def _score_difference(after: Evaluation, before: Evaluation | None) -> dict[str, Any] | None:
    from clairkit.evaluation import score_change

    if before is None:
        return None
    interval = score_change(before, after)
    estimate = after.mean_score - before.mean_score
    return {"estimate": estimate, "low": interval.low, "high": interval.high}


def _measured(job: _Job, spec: str | None, found: Evaluation) -> dict[str, Any]:
    scores = found.score_interval()
    return {
        "spec": spec,
        "n": found.n,
        "successes": found.successes,
        "share": found.share,
        "low": found.interval.low,
        "high": found.interval.high,
        "mean_score": found.mean_score,
        "mean_score_low": scores.low,
        "mean_score_high": scores.high,
        "trained_on": job.trained_on(spec),
        "cut": found.cut,
        "failures": found.failures,
    }


def _require_gain(difference: Difference) -> None:
    from clairkit.errors import EvidenceError, GateError

    if difference.verdict == "worse":
        raise GateError("the model is worse than the baseline, beyond chance")
    if difference.verdict == "undecided":
        raise EvidenceError(
            "the interval of the change includes 0", remedy="evaluate on more prompts"
        )
