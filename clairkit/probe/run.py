"""Run a probe from prompts to card: ask, count, write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clairkit.engine.driver import run_works
from clairkit.engine.program import Call
from clairkit.engine.progress import ProgressHook
from clairkit.engine.replay import Open, Work, trace
from clairkit.errors import ClairError, DataError, UsageError
from clairkit.generation.engine import Prompts, make_budget
from clairkit.generation.methods.clair import Clair, make_clair
from clairkit.generation.methods.parts import make_judge
from clairkit.generation.settings import BuildSettings
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, Recorded, Usage, journal_path
from clairkit.judging.judge import Judge
from clairkit.models.budget import ReachedCap
from clairkit.models.requests import Model
from clairkit.probe.cases import ProbeCase, ProbeSettings, is_good, make_cases
from clairkit.probe.findings import HealthCard, make_card
from clairkit.probe.observe import Observation, observe
from clairkit.probe.render import to_markdown
from clairkit.records import PromptRow, atomic_write, check_output, read_prompts, write_rows


@dataclass(frozen=True)
class ProbeResult:
    """What a probe made; no file when no case is done.

    `card` is of the cases that are done; when some are `unfinished`, `stop` is the error that
    ended the run, or `signal` the signal, or `reached` the cap on calls or cost that did.
    """

    card: HealthCard
    path: Path
    """The card as JSON."""
    markdown: Path
    cases: Path
    """Each case with its texts, JSONL."""
    journal: Path
    is_written: bool
    stop: ClairError | None = None
    signal: int | None = None
    reached: ReachedCap | None = None

    @property
    def over_budget(self) -> bool:
        """Whether a cap on calls or cost ended the run."""
        return self.reached is not None

    @property
    def unfinished(self) -> int:
        """Return how many cases are not done."""
        return self.card.open


def run_probe(
    prompts: Prompts,
    models: Mapping[str, Model],
    output: str | os.PathLike[str],
    *,
    settings: BuildSettings,
    probe: ProbeSettings | None = None,
    force: bool = False,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
) -> ProbeResult:
    """Probe the health of a reviser, as `build_pairs` would use it with the same settings.

    The files stand beside `output`, which itself is neither read nor written. The journal of the
    probe is its own, so that a template can be tried before a run is begun with it; the same
    call after an interruption goes on where it stopped.

    Args:
        prompts: a prompt file or its rows; see `make_cases` for those that are used.
        models: by role, of `engine.make_models`: `reviser`; perhaps `target` for rows without
            answer, and `judge`.
        output: the pair file that a run would write.
        settings: as for the run.
        probe: how much to ask, and the thresholds.
        force: replace a card that has no journal.
        progress: called after each result.
        say: told remarks for the user.

    Raises:
        UsageError: the settings are of another method or ask for worse answers, a model is
            missing or has no price, or the output may not be written.
        DataError: there is no row.
        ResourceError: the disk or its permissions are unavailable.
    """
    method = _method(settings, models)
    judge = make_judge(settings, models, "a judging probe") if "judge" in models else None
    rows = read_prompts(prompts) if isinstance(prompts, str | os.PathLike) else prompts
    probe = probe or ProbeSettings()
    cases = _cases(rows, method, probe)
    base = Path(f"{os.fspath(output)}.health")
    paths = _paths(base, force=force)
    works: list[Work[Observation]] = [partial(observe, case, method, judge) for case in cases]
    prices = settings.prices or Prices()
    if settings.max_cost is not None:
        prices.require(model.name for model in models.values())
    with closing(Journal(paths["base"])) as journal:
        budget = make_budget(settings, prices, journal)
        run_works(works, journal, budget, progress=progress, say=say, total=len(works))
        traces = [trace(work, journal) for work in works]
    seen = [each.result for each in traces if not isinstance(each.result, Open)]
    card = make_card(
        seen,
        about=_about(method, judge, cases),
        spent=_spent((step for each in traces for step in each.steps), prices),
        thresholds=probe.thresholds,
        unfinished=len(traces) - len(seen),
    )
    if seen:
        _write(card, seen, paths)
    return ProbeResult(
        card,
        paths["json"],
        paths["md"],
        paths["cases"],
        journal.path,
        is_written=bool(seen),
        stop=budget.error,
        signal=budget.signal,
        reached=budget.reached,
    )


def _method(settings: BuildSettings, models: Mapping[str, Model]) -> Clair:
    if settings.method != Clair.name:
        raise UsageError(
            "a probe is of a reviser",
            received=f"method {settings.method}",
            remedy="probe with --method clair",
        )
    method = make_clair(settings, models)
    if method.revise.worsen:
        raise UsageError(
            "a probe is of revisions that improve", received="worsen", remedy="leave --worsen out"
        )
    return method


def _cases(prompts: Iterable[PromptRow], method: Clair, probe: ProbeSettings) -> list[ProbeCase]:
    count = 0

    def usable() -> Iterator[PromptRow]:
        nonlocal count
        for row in prompts:
            count += 1
            if row.answer is not None or method.target is not None:
                yield row

    cases = make_cases(usable(), probe)
    if not count:
        path = str(getattr(prompts, "path", "")) or None
        raise DataError("0 prompt rows", path=path, remedy="check what wrote the file")
    return cases


def _paths(base: Path, *, force: bool) -> dict[str, Path]:
    """Return where the files go: all of them are made anew from the journal."""
    real = Path(os.path.realpath(base))
    may_replace = force or journal_path(real).exists()
    names = {"json": ".json", "md": ".md", "cases": ".cases.jsonl"}
    paths = {
        name: check_output(f"{base}{suffix}", force=may_replace) for name, suffix in names.items()
    }
    return {"base": real, **paths}


def _about(method: Clair, judge: Judge | None, cases: Sequence[ProbeCase]) -> dict[str, object]:
    """Return who is probed and how, for the head of the card."""
    reviser = method.reviser
    good = [case for case in cases if case.probe == "untouched"]
    source = "of the prompt file" if is_good(good[0].row) else "built-in"
    about: dict[str, object] = {"reviser": reviser.name}
    about |= method.revise.settings(for_function=reviser.is_function)
    if not reviser.is_function:
        about["sampling"] = dict(method.revise_sampling.to_json())
    rows = {case.row.id for case in cases if case.probe == "repeat"}
    about |= {"good answers": f"{len(good)} {source}", "rows": len(rows)}
    if method.target is not None:
        about["target"] = method.target.name
    if judge is not None:
        is_same = dict(judge.model.identity) == dict(reviser.identity)
        about["judge"] = judge.model.name + (", which is the reviser itself" if is_same else "")
    return about


def _spent(steps: Iterable[tuple[Call, Recorded]], prices: Prices) -> dict[str, object]:
    """Return what the results took that the card is made of, each counted once."""
    once = {(call.task.key, call.step): (call.model.name, got.outcome) for call, got in steps}
    used: dict[str, Usage] = {}
    for name, outcome in once.values():
        one = Usage(outcome.tries, outcome.prompt_tokens, outcome.completion_tokens, 1)
        used[name] = used.get(name, Usage()) + one
    whole = sum(used.values(), Usage())
    tokens = {"prompt": whole.prompt_tokens, "completion": whole.completion_tokens}
    return {"calls": whole.calls, "tokens": tokens, "cost": prices.cost_of(used)}


def _write(card: HealthCard, seen: Sequence[Observation], paths: Mapping[str, Path]) -> None:
    write_rows(paths["cases"], (each.to_json() for each in seen), force=True)
    text = json.dumps(card.to_json(), ensure_ascii=False, indent=2, allow_nan=False)
    for name, content in (("md", to_markdown(card)), ("json", text + "\n")):
        with atomic_write(paths[name]) as file:
            file.write(content.encode("utf-8", "backslashreplace"))
