"""The engine behind `clairkit build-pairs`: answers, revisions, pairs."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clairkit.errors import ClairError, DataError, UsageError
from clairkit.generation.journal import Journal, Usage, journal_path
from clairkit.generation.outcome_rows import Open, Quarantined, find_answer, row_results
from clairkit.generation.reasons import reason
from clairkit.generation.recipe import ANSWER, REVISE, Recipe
from clairkit.generation.requests import Control, Model
from clairkit.generation.runner import ProgressHook, drain_on_signals, run_step
from clairkit.generation.sampling import Reply, Sampling
from clairkit.generation.specs import ModelOptions, make_model
from clairkit.generation.templates import Template, load_template
from clairkit.records import Pair, PromptRow, check_output, read_prompts, write_pairs, write_rows

ModelOrSpec = str | Model
Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildSettings:
    """How pairs are built. Every field but `models` and `max_calls` is part of the keys."""

    template: str | Template = "clair"
    """A built-in template's name, a user's file, or a template."""
    answer_sampling: Sampling = field(default_factory=Sampling)
    """As the target is deployed."""
    revise_sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.0, max_new_tokens=4096)
    )
    """The reviser's; its replies hold the reasoning and the whole revision."""
    models: ModelOptions = field(default_factory=ModelOptions)
    """How models given as specs are run."""
    max_calls: int | None = None
    """The most calls of models, those of earlier runs of this output included."""


@dataclass(frozen=True)
class BuildResult:
    """What a run made.

    `counts` has the rows by reason code, `unfinished` those that are not done: then `stop` is the
    error that ended the run, or `signal` the signal, or `over_budget` is set.
    `calls` and `tokens` are of this output in all, earlier runs included.
    """

    rows: int
    pairs: int
    counts: dict[str, int]
    unfinished: int
    calls: int
    tokens: dict[str, int]
    path: Path
    quarantine: Path | None
    journal: Path
    seconds: float
    stop: ClairError | None = None
    signal: int | None = None
    over_budget: bool = False

    @property
    def failed(self) -> int:
        """How many rows should have become pairs and did not."""
        return sum(count for code, count in self.counts.items() if reason(code).failed)


def build_pairs(
    prompts: str | os.PathLike[str] | Iterable[PromptRow],
    *,
    target: ModelOrSpec | None = None,
    reviser: ModelOrSpec,
    output: str | os.PathLike[str],
    settings: BuildSettings | None = None,
    force: bool = False,
    progress: ProgressHook | None = None,
) -> BuildResult:
    """Let `reviser` minimally revise each answer, and write answer and revision as pairs.

    The journal beside the output has every reply before anything is made of it: the same call
    after an interruption goes on where it stopped. Rows that become no pair stand, with a reason
    code, in a quarantine file beside the output.

    Args:
        prompts: a prompt file (see `clairkit.records.read_prompts`), or prompt rows.
        target: model or spec that answers the prompts that have no answer.
        reviser: model or spec that revises the answers.
        output: the pair file; its suffix decides the form.
        settings: how to do it.
        force: replace an output that has no journal; go on with other settings than before.
        progress: called after each result.

    Raises:
        DataError: a prompt row is bad, or has no answer and there is no target.
        UsageError: a spec, template or setting is wrong, the output is not to be replaced,
            or another process works on it.
        RemoteError: a server refused or failed throughout; what was done is kept.
        ResourceError: disk or memory is not to be had.
    """
    result = run_build(
        prompts, make_recipe(target, reviser, settings or BuildSettings()), output,
        settings=settings or BuildSettings(), force=force, progress=progress,
    )  # fmt: skip
    if result.stop is not None:
        raise result.stop
    return result


def make_recipe(
    target: ModelOrSpec | None, reviser: ModelOrSpec, settings: BuildSettings
) -> Recipe:
    """Return the recipe of a run; models are made, not yet loaded or asked."""
    template = settings.template
    return Recipe(
        target=None if target is None else _model(target, settings.models),
        reviser=_model(reviser, settings.models),
        template=load_template(template) if isinstance(template, str) else template,
        answer_sampling=settings.answer_sampling,
        revise_sampling=settings.revise_sampling,
    )


def _model(given: ModelOrSpec, options: ModelOptions) -> Model:
    return make_model(given, options) if isinstance(given, str) else given


def load_rows(
    prompts: str | os.PathLike[str] | Iterable[PromptRow], *, has_target: bool
) -> list[PromptRow]:
    """Return the prompt rows, each with an answer unless there is a target.

    Raises:
        DataError: there is no row, or one lacks its answer.
    """
    given = read_prompts(prompts) if isinstance(prompts, str | os.PathLike) else prompts
    rows = list(given)
    path = str(getattr(given, "path", "")) or None
    if not rows:
        raise DataError("0 prompt rows", path=path, remedy="check what wrote the file")
    bare = [row.id for row in rows if row.answer is None]
    if bare and not has_target:
        some = ", ".join(bare[:5]) + (", …" if len(bare) > 5 else "")
        raise DataError(f"{len(bare)} of {len(rows)} rows have no answer", path=path,
                        received=some, remedy="give --target, or an `answer` column")  # fmt: skip
    return rows


def run_build(
    prompts: str | os.PathLike[str] | Iterable[PromptRow],
    recipe: Recipe,
    output: str | os.PathLike[str],
    *,
    settings: BuildSettings,
    force: bool = False,
    progress: ProgressHook | None = None,
    say: Say | None = None,
) -> BuildResult:
    """Build pairs as `build_pairs` does, but return what stopped the run instead of raising it."""
    started = time.monotonic()
    if settings.max_calls is not None and settings.max_calls < 1:
        raise UsageError("max_calls must be at least 1", received=settings.max_calls)
    rows = load_rows(prompts, has_target=recipe.target is not None)
    path = check_output(output, force=force or journal_path(_real(output)).exists())
    journal = Journal(path)
    try:
        journal.settle(recipe.settings(), force=force)
        _check_same_prompts(rows, recipe, journal, path, force=force)
        control = Control(settings.max_calls, journal.usage().calls)
        _run(_steps(rows, recipe, journal, control, progress or _quiet, say or _quiet))
        return _export(rows, recipe, journal, control, path, started)
    finally:
        journal.close()


def _real(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _quiet(_: object) -> None:
    """Say nothing."""


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            asyncio.run(work)
        except asyncio.CancelledError:  # by the second Ctrl-C
            raise KeyboardInterrupt from None
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


async def _steps(
    rows: Sequence[PromptRow],
    recipe: Recipe,
    journal: Journal,
    control: Control,
    progress: ProgressHook,
    say: Say,
) -> None:
    with drain_on_signals(control, say):
        bare = [row for row in rows if row.answer is None]
        if bare and recipe.target is not None:
            tasks = [recipe.answer_task(row) for row in bare]
            try:
                await run_step(ANSWER, tasks, recipe.target, journal, control, progress)
            finally:
                await recipe.target.close()  # its memory is the reviser's now
        tasks = [
            recipe.revise_task(row, answer) for row, answer in _answered(rows, recipe, journal)
        ]
        try:
            await run_step(REVISE, tasks, recipe.reviser, journal, control, progress)
        finally:
            await recipe.reviser.close()


def _answered(
    rows: Iterable[PromptRow], recipe: Recipe, journal: Journal
) -> Iterator[tuple[PromptRow, str]]:
    for row in rows:
        answer = find_answer(row, recipe, journal)
        if answer is not None and isinstance(answer.outcome, Reply):
            yield row, answer.outcome.text


def _check_same_prompts(
    rows: Sequence[PromptRow], recipe: Recipe, journal: Journal, path: Path, *, force: bool
) -> None:
    """An output that was made from altogether other prompts is not replaced unasked."""
    known = journal.finished(ANSWER) | journal.finished(REVISE)
    if force or not known or not path.exists() or journal.meta("settings") is None:
        return
    keys = (
        recipe.answer_task(row).key if row.answer is None else recipe.revise_key(row, row.answer)
        for row in rows
    )
    if not any(key in known for key in keys):
        raise UsageError("the output holds pairs of other prompts", received=str(path),
                         remedy="choose another output, or replace it with --force")  # fmt: skip


def _export(
    rows: Sequence[PromptRow],
    recipe: Recipe,
    journal: Journal,
    control: Control,
    path: Path,
    started: float,
) -> BuildResult:
    """Write the pairs, and the rows that became none, and count both."""
    bad: list[Quarantined] = []
    unfinished = 0

    def pairs() -> Iterator[Pair]:
        nonlocal unfinished
        for result in row_results(rows, recipe, journal):
            if isinstance(result, Pair):
                yield result
            elif isinstance(result, Open):
                unfinished += 1
            else:
                bad.append(result)

    count = write_pairs(path, pairs(), force=True)
    quarantine = path.with_name(f"{path.name}.quarantine.jsonl")
    if bad:
        write_rows(quarantine, (row.to_json() for row in bad), force=True)
    else:
        quarantine.unlink(missing_ok=True)
    usage: Usage = journal.usage()
    return BuildResult(
        rows=len(rows),
        pairs=count,
        counts=dict(Counter(row.failure.reason for row in bad).most_common()),
        unfinished=unfinished,
        calls=usage.calls,
        tokens={"prompt": usage.prompt_tokens, "completion": usage.completion_tokens},
        path=path,
        quarantine=quarantine if bad else None,
        journal=journal.path,
        seconds=time.monotonic() - started,
        stop=control.error,
        signal=control.signal,
        over_budget=control.over_budget,
    )
