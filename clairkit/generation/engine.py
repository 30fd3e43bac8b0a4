"""Build pairs (`clairkit build-pairs`): answers, revisions, pairs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from clairkit.engine.driver import run_works
from clairkit.engine.program import Method
from clairkit.engine.progress import ProgressHook
from clairkit.engine.replay import trace
from clairkit.errors import DataError, UsageError
from clairkit.generation.export import BuildResult, export
from clairkit.generation.methods import check_row, make_method, needs_answers
from clairkit.generation.settings import BuildSettings
from clairkit.journal.files import output_path
from clairkit.journal.manifest import check_sealed
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal
from clairkit.journal.row_index import Shard, kept_rows
from clairkit.models.budget import Budget, Spent
from clairkit.models.requests import Model
from clairkit.models.server.endpoint import key_variable
from clairkit.models.specs import make_model
from clairkit.records import PromptRow, read_prompts
from clairkit.records.json_types import JsonObject
from clairkit.records.stream import RowStream

ModelOrSpec = str | Model
Prompts = str | os.PathLike[str] | Iterable[PromptRow]
Rows = Sequence[PromptRow] | RowStream[PromptRow] | Shard
Say = Callable[[str], None]

Engine = Callable[..., None]
"""Called with rows, method, journal and budget: makes all open calls, as `run_works` does."""

_EXAMPLES = 5  # rows that an error names


def build_pairs(
    prompts: Prompts,
    *,
    target: ModelOrSpec | None = None,
    reviser: ModelOrSpec | None = None,
    judge: ModelOrSpec | None = None,
    output: str | os.PathLike[str],
    settings: BuildSettings | None = None,
    force: bool = False,
    progress: ProgressHook | None = None,
) -> BuildResult:
    """Make preference pairs by `settings.method`; `clair` lets `reviser` revise each answer.

    The journal beside the output has every reply before anything is made of it: the same call
    after an interruption goes on where it stopped. Rows that become no pair stand, with a reason
    code, in a quarantine file beside the output.

    Args:
        prompts: a prompt file (see `clairkit.records.read_prompts`), or prompt rows.
        target: model or spec that answers the prompts that have no answer.
        reviser: model or spec that revises the answers.
        judge: model or spec that chooses between answers.
        output: the pair file; its suffix decides the form.
        settings: how to do it.
        force: replace an output that has no journal; go on with other settings than before.
        progress: called after each result.

    Raises:
        DataError: a prompt row is bad, or has no answer and there is no target.
        UsageError: a spec, template or setting is wrong, the output may not be replaced,
            or another process works on it.
        RemoteError: a server refused or failed throughout; what was done is kept.
        ResourceError: disk or memory is unavailable.
    """
    chosen = settings or BuildSettings()
    method = make_build(chosen, target=target, reviser=reviser, judge=judge)
    result = run_build(prompts, method, output, settings=chosen, force=force, progress=progress)
    if result.stop is not None:
        raise result.stop
    return result


def make_build(
    settings: BuildSettings,
    *,
    target: ModelOrSpec | None = None,
    reviser: ModelOrSpec | None = None,
    judge: ModelOrSpec | None = None,
) -> Method:
    """Return the method of a run; its models are made, not yet loaded or asked.

    Args:
        settings: with the name of the method.
        target: model or spec that answers prompts.
        reviser: model or spec that revises answers.
        judge: model or spec that chooses between answers.

    Raises:
        UsageError: a spec or a setting is wrong, or the method lacks a model.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    models = make_models(settings, target=target, reviser=reviser, judge=judge)
    return make_method(settings.method, settings, models)


def make_models(
    settings: BuildSettings,
    *,
    target: ModelOrSpec | None = None,
    reviser: ModelOrSpec | None = None,
    judge: ModelOrSpec | None = None,
) -> dict[str, Model]:
    """Return the models of a run by role; they are not yet loaded or asked.

    One spec in two roles on one server is one model, with one set of limits.

    Args:
        settings: with the options of models, and further candidates.
        target: model or spec that answers prompts.
        reviser: model or spec that revises answers.
        judge: model or spec that chooses between answers.

    Raises:
        UsageError: a spec is wrong.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    candidates = {  # those that are models; the others name columns
        f"candidate.{number}": name
        for number, name in enumerate(settings.candidates, 1)
        if name.startswith(("hf:", "openai:", "python:"))
    }
    given = {"target": target, "reviser": reviser, "judge": judge, **candidates}
    models: dict[str, Model] = {}
    made: dict[object, Model] = {}
    for role, model in given.items():
        if isinstance(model, str):
            options = settings.models
            said = (options.chat_of(role).given(), options.body_of(role))
            content = json.dumps(said, sort_keys=True, default=str)
            place = (model, options.base_url_of(role), key_variable(role), content)
            if place not in made:
                made[place] = make_model(model, settings.models, role=role)
            models[role] = made[place]
        elif model is not None and not hasattr(model, "complete"):
            raise UsageError(
                f"the {role} is neither a model nor a spec",
                received=getattr(model, "__qualname__", type(model).__name__),
                remedy="name a function as python:MODULE:FUNCTION",
            )
        elif model is not None:
            models[role] = model
    return models


def load_rows(prompts: Prompts, method: Method) -> Rows:
    """Return the prompt rows after a look at all of them; a file is read anew each time.

    Raises:
        DataError: there is no row, or the method can't use one: it lacks its answer and there is
            no target, say.
    """
    return _counted_rows(prompts, method)[0]


def _counted_rows(prompts: Prompts, method: Method) -> tuple[Rows, int]:
    given = read_prompts(prompts) if isinstance(prompts, str | os.PathLike) else prompts
    rows = given if isinstance(given, RowStream | Shard | Sequence) else list(given)
    count = bare = 0
    some: list[str] = []
    for row in rows:
        check_row(method, row)
        count += 1
        if row.answer is None:
            bare += 1
            if len(some) < _EXAMPLES:
                some.append(row.id)
    path = str(getattr(rows, "path", "")) or None
    if not count:
        raise DataError("0 prompt rows", path=path, remedy="check what wrote the file")
    if bare and needs_answers(method):
        raise DataError(
            f"{bare} of {count} rows have no answer",
            path=path,
            received=", ".join(some) + (", …" if bare > len(some) else ""),
            remedy="give --target, an `answer` column, or --answer-column NAME",
        )
    return rows, count


def run_build(
    prompts: Prompts,
    method: Method,
    output: str | os.PathLike[str],
    *,
    settings: BuildSettings,
    force: bool = False,
    progress: ProgressHook | None = None,
    say: Say | None = None,
    engine: Engine | None = None,
) -> BuildResult:
    """Build pairs as `build_pairs` does, but return what stopped the run instead of raising it.

    Args:
        prompts: as in `build_pairs`.
        method: as `make_build` returns it.
        output: the pair file.
        settings: how to do it.
        force: as in `build_pairs`.
        progress: called after each result.
        say: told remarks for the user.
        engine: makes the calls; None makes them in this process.

    Raises:
        DataError: a prompt row is bad, or the output was changed since it was sealed.
        UsageError: a setting is wrong, or the output may not be replaced.
    """
    started = time.monotonic()
    rows, count = _counted_rows(prompts, method)
    prices = settings.prices or Prices()
    if settings.max_cost is not None:
        prices.require(model.name for model in method.models.values())
    path = output_path(output, force=force)
    with closing(Journal(path)) as journal:
        journal.settle(method.settings(), force=force)
        _check_same_prompts(rows, method, journal, path, force=force)
        budget = make_budget(settings, prices, journal)
        kept = kept_rows(rows, journal.path)
        check_sealed(path)
        hooks: JsonObject = {"progress": progress, "say": say, "total": count}
        if engine is None:
            run_works((partial(method.program, row) for row in kept), journal, budget, **hooks)
        else:
            engine(kept, method, journal, budget, **hooks)
        return export(rows, method, journal, budget, path, prices=prices, started=started)


def make_budget(settings: BuildSettings, prices: Prices, journal: Journal) -> Budget:
    """What may still be asked, after what earlier runs of this output asked."""
    usage = journal.usage_by_model()
    spent = {
        name: Spent(each.costing, prices.cost_of({name: each}) or 0.0)
        for name, each in usage.items()
    }
    calls = sum(each.calls for each in usage.values())
    return Budget(settings.max_calls, calls, max_cost=settings.max_cost, prices=prices, spent=spent)


def _check_same_prompts(
    rows: Iterable[PromptRow], method: Method, journal: Journal, path: Path, *, force: bool
) -> None:
    """An output that was made from altogether other prompts is not replaced unasked."""
    if force or not path.exists() or not journal.usage().results:
        return
    works = (partial(method.program, row) for row in rows)
    if not any(trace(work, journal).steps for work in works):
        raise UsageError(
            "the output holds pairs of other prompts",
            received=str(path),
            remedy="choose another output, or replace it with --force",
        )
