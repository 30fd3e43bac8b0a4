"""Write the folder of an evaluation: `eval.json`, `items.jsonl`, and the manifest of both."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clairkit.evaluation.comparison import Comparison, JudgedOrder, RowResult
from clairkit.evaluation.evaluate import Scorer
from clairkit.journal.manifest import seal
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, Recorded
from clairkit.models.sampling import Failure, Outcome
from clairkit.records import atomic_write, write_rows
from clairkit.records.json_types import JsonMapping, JsonObject

EVAL = "eval.json"
ITEMS = "items.jsonl"
SCHEMA = 1


def journal_base(folder: Path) -> Path:
    """Return the file that the journal and the manifest of an evaluation stand beside."""
    return folder / EVAL


def write_folder(
    folder: Path,
    evaluation: JsonMapping,
    items: Iterator[JsonMapping],
    facts: JsonMapping,
) -> None:
    """Write both files and seal them; the same replies give the same bytes.

    Args:
        folder: holds the journal already.
        evaluation: what `eval.json` holds.
        items: the rows of `items.jsonl`.
        facts: what the manifest says beside the digests.
    """
    write_rows(folder / ITEMS, items, force=True)
    text = json.dumps(plain(evaluation), ensure_ascii=False, indent=2, allow_nan=False)
    with atomic_write(folder / EVAL) as file:
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")
    seal(journal_base(folder), "evaluate", facts, beside=(folder / ITEMS,), has_card=False)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def item_rows(
    results: Sequence[RowResult],
    comparison: Comparison,
    scorer: Scorer | None,
    clusters: Mapping[str, Hashable] | None,
    prices: Prices,
) -> Iterator[JsonObject]:
    """Yield the rows of `items.jsonl`: of each prompt the answers, then the verdicts.

    Args:
        results: of all prompts, in their order.
        comparison: who was asked.
        scorer: has the answers' scores; None without a check.
        clusters: what each prompt belongs to, by its id.
        prices: of the models.
    """
    judges = {each.name: each.judge.model.name for each in comparison.judges}
    ordered = sorted(comparison.contestants, key=lambda each: each.is_baseline)
    for result in results:
        scores = {} if scorer is None else scorer.score(result)
        cluster = None if clusters is None else clusters[result.row.id]
        for each in ordered:
            outcome = result.answers[each.name]
            checked = scores.get(each.name)
            yield {
                **_answer(result, each.name, outcome),
                "cluster": cluster,
                "score": None if checked is None else checked.score,
                "right": None if checked is None else checked.right,
                **_spent(outcome, each.model.name, prices),
            }
        for verdict in result.verdicts:
            yield _verdict(result.row.id, verdict, judges[verdict.judge], prices)


def _answer(result: RowResult, name: str, outcome: Outcome) -> JsonObject:
    row = {
        "kind": "answer",
        "id": result.row.id,
        "model": name,
        "prompt": list(result.row.prompt),
        "row": dict(result.row.extra),
    }
    if isinstance(outcome, Failure):
        return {**row, "answer": "", "finish_reason": outcome.reason, "failed": True}
    thoughts = {"thoughts": outcome.thoughts} if outcome.thoughts else {}
    is_none = outcome.is_only_thoughts
    reason = "answer_truncated" if is_none else outcome.finish_reason
    answer = "" if is_none else outcome.text
    return {**row, "answer": answer, **thoughts, "finish_reason": reason, "failed": is_none}


def _verdict(prompt: str, verdict: JudgedOrder, model: str, prices: Prices) -> JsonObject:
    recorded: Recorded | None = verdict.recorded
    spent = {"seconds": None, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0}
    return {
        "kind": "verdict",
        "id": prompt,
        "judge": verdict.judge,
        "model": verdict.model,
        "against": verdict.against,
        "first": verdict.first,
        "given": None if recorded is None else recorded.outcome.text,
        "verdict": verdict.grade,
        "score": verdict.score,
        "reason": None if verdict.failure is None else verdict.failure.reason,
        "asked": recorded is not None,
        **(spent if recorded is None else _spent(recorded.outcome, model, prices)),
    }


def _spent(outcome: Outcome, model: str, prices: Prices) -> JsonObject:
    tokens = outcome.prompt_tokens, outcome.completion_tokens
    return {
        "seconds": outcome.seconds,
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "cost": prices.cost(model, *tokens),
    }


def cost_of(journal: Journal, prices: Prices) -> JsonObject:
    """Return what all replies of a journal took."""
    usage = journal.usage()
    return {
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "usd": prices.cost_of(journal.usage_by_model()),
    }
