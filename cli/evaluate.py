"""`clairkit evaluate`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.console import Console, output_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clairkit.evaluation import Difference, Evaluation


@click.command("evaluate", short_help="How often a model is right on held-out prompts.")
@click.argument("prompts")
@click.option("--model", required=True, metavar="SPEC", help="The model to be measured.")
@click.option("--baseline", metavar="SPEC", help="Another model, asked the same prompts.")
@click.option(
    "--check",
    required=True,
    metavar="python:PACKAGE:FUNCTION",
    help="Called with the prompt's messages, the answer and the row; returns whether it is right, "
    "or a score from 0 to 1.",
)
@click.option("--pass-at", type=float, default=1.0, show_default=True,
              help="The lowest score that is right.")  # fmt: skip
@click.option("-o", "--output", help="Write the answers here, a row a prompt.")
@click.option("--temperature", type=float, default=1.0, show_default=True,
              help="As in production; 0 takes the likeliest token.")  # fmt: skip
@click.option("--top-p", type=float, default=1.0, show_default=True, help="As in production.")
@click.option("--max-new-tokens", type=int, default=512, show_default=True,
              help="Longer answers are cut, and counted.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampling.")
@click.option("--limit", type=int, help="Ask only the first N prompts.")
@click.option("--base-url", metavar="URL", help="Server of openai: (or OPENAI_BASE_URL).")
@click.option("--body", metavar="FIELD=JSON", multiple=True,
              help="A field of each request to openai:; null takes one out.")  # fmt: skip
@click.option("--concurrency", type=int, default=8, show_default=True, help="Requests at once.")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Rows at once, hf:.")
@click.option("--require-gain", is_flag=True, help="Exit with 8 or 7 without a gain; see above.")
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows, and count them.")
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
    from clairkit.evaluation import compare, load_check, sentence

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
    difference = compare(before, after) if before is not None else None
    _show(console, after, before, difference)
    console.show(sentence(after, difference))
    if output is not None:
        _write(output, (model, after), (baseline, before), force=flags["force"])
        console.show(f"Answers: {output}")
    console.result(_result(job, (model, after), (baseline, before), difference, output))
    if flags["require_gain"] and difference is not None:
        _require_gain(difference)


class _Job:
    """The prompts, the check and the sampling that every model of a run shares."""

    def __init__(self, check: Any, source: str, flags: dict[str, Any], console: Console) -> None:
        from clairkit.generation.request_body import parse_body
        from clairkit.generation.sampling import Sampling
        from clairkit.generation.specs import ModelOptions
        from clairkit.records import read_prompts

        names = ("temperature", "top_p", "max_new_tokens", "seed")
        self.sampling = Sampling(**{name: flags[name] for name in names})
        self.options = ModelOptions(
            base_url=flags["base_url"],
            concurrency=flags["concurrency"],
            batch_size=flags["batch_size"],
            body=parse_body(flags["body"]),
        )
        stream = read_prompts(source, skip_bad=flags["skip_bad"], limit=flags["limit"])
        self.prompts = list(stream)
        self.skipped = dict(sorted(stream.skipped.items()))
        self._check = check
        self._pass_at = flags["pass_at"]
        self._console = console
        if self.skipped:
            listed = ", ".join(f"{name} {count}" for name, count in self.skipped.items())
            console.warn(f"bad rows skipped: {listed}")

    def check_specs(self, *specs: str | None) -> None:
        """Refuse a wrong spec before the first model has done its work."""
        from clairkit.generation.specs import make_model

        for spec in specs:
            if spec is not None:
                make_model(spec, self.options)

    def evaluate(self, spec: str, name: str) -> Evaluation:
        from clairkit.evaluation import evaluate

        self._console.note(f"Asking the {name}, {spec}")
        found = evaluate(
            spec,
            self.prompts,
            self._check,
            self.sampling,
            pass_at=self._pass_at,
            options=self.options,
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
        f"Right answers on {after.n} held-out prompts, 95 % intervals",
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
    change = None
    if difference is not None:
        change = {**dataclasses.asdict(difference), "verdict": difference.verdict}
    return {
        "model": _measured(*model),
        "baseline": None if baseline[1] is None else _measured(baseline[0], baseline[1]),
        "difference": change,
        "sampling": job.sampling.to_json(),
        "skipped": job.skipped,
        "output": output,
    }


def _measured(spec: str | None, found: Evaluation) -> dict[str, Any]:
    return {
        "spec": spec,
        "n": found.n,
        "successes": found.successes,
        "share": found.share,
        "low": found.interval.low,
        "high": found.interval.high,
        "mean_score": found.mean_score,
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
