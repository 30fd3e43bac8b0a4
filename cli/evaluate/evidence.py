"""Read the options of `clairkit evaluate` that bring votes, KPIs and guards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clairkit.evaluation.comparison import Comparison, NamedJudge
    from clairkit.evaluation.evidence import Evidence, GuardRun
    from clairkit.evaluation.guards import GuardSpec
    from clairkit.records import PromptRow
    from clairkit.records.json_types import JsonMapping

_FLAG = "--guards"


def make_evidence(
    options: JsonMapping,
    comparison: Comparison,
    prompts: Sequence[PromptRow],
    make_judge: Callable[[str], NamedJudge],
) -> Evidence:
    """Return the votes, KPIs and guards that the options name.

    Args:
        options: of the command.
        comparison: of the evaluation.
        prompts: of the evaluation.
        make_judge: makes a judge of its spec.

    Raises:
        DataError: a file or a guard can't be read.
        UsageError: two guards have one name, or a guard rests on a KPI that no file has.
    """
    from clairkit.errors import UsageError
    from clairkit.evaluation.evidence import Evidence
    from clairkit.evaluation.guards import read_guards
    from clairkit.evaluation.kpi_file import read_kpi_file
    from clairkit.evaluation.people import read_person_votes

    kpis = None if options["kpi"] is None else read_kpi_file(options["kpi"])
    units = {} if kpis is None else {each.name: each.unit for each in kpis.kpis}
    own = read_guards(_table(options["guards"]), units, Path())
    guards = (*(kpis.guards if kpis else ()), *own)
    names = [each.name for each in guards]
    if len(set(names)) < len(names):
        problem = "each guard needs a name of its own"
        raise UsageError(problem, received=", ".join(names), remedy="add name: …")
    if kpis is not None:
        kpis = dataclasses.replace(kpis, guards=tuple(g for g in guards if g.kind == "kpi"))
    return Evidence(
        votes=tuple(read_person_votes(options["votes"])) if options["votes"] else (),
        kpis=kpis,
        guards=tuple(_runs(guards, options, comparison, prompts, make_judge)),
    )


def _table(given: Sequence[str]) -> Any:
    """Return the guards of the command line as a table of a file."""
    from clairkit.errors import DataError
    from clairkit.evaluation.config_table import ConfigTable
    from clairkit.records.formats.yaml_file import YamlProblem, load_yaml

    try:
        return ConfigTable({"guards": [load_yaml(text) for text in given]}, _FLAG)
    except YamlProblem as problem:
        raise DataError(f"is no YAML ({problem})", path=_FLAG) from None


def _runs(
    guards: Sequence[GuardSpec],
    options: JsonMapping,
    comparison: Comparison,
    prompts: Sequence[PromptRow],
    make_judge: Callable[[str], NamedJudge],
) -> Iterator[GuardRun]:
    from clairkit.evaluation.checks import load_check
    from clairkit.evaluation.evaluate import Scorer
    from clairkit.evaluation.evidence import GuardRun, clusters_of, own_prompts
    from clairkit.records import read_prompts

    for spec in guards:
        if spec.kind == "kpi":
            continue
        found = own_prompts(list(read_prompts(spec.prompts)) if spec.prompts else prompts)
        is_check = spec.kind == "check"
        yield GuardRun(
            spec,
            dataclasses.replace(
                comparison, judges=() if is_check else (make_judge(spec.by),), all_pairs=False
            ),
            found,
            clusters_of(found, options["cluster"]),
            Scorer(load_check(spec.by)) if is_check else None,
        )
