"""Show a dry run, as people and `--json` see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.generation.cost.dry_run import DryRun
    from clairkit.generation.cost.estimate import CostRange, Estimate, RoleEstimate
    from clairkit.records.json_types import JsonObject


def show_dry_run(console: Console, made: DryRun, skipped: Mapping[str, int]) -> None:
    """Show what a run still takes."""
    from clairkit.display import counted

    estimate = made.estimate
    title = f"Dry run: {counted(estimate.rows, 'row')}"
    if estimate.done:
        title += f", {estimate.done:,} done; what the others take"
    console.table(title, ["", "estimate", "range"], list(_rows(made)), note=_note(estimate))
    console.result({**dry_run_json(made), "skipped": skipped})


def dry_run_json(made: DryRun) -> JsonObject:
    """Return a dry run as `--json` has it: tokens as whole numbers, costs in US$."""
    estimate = made.estimate
    return {
        "dry_run": True,
        "rows": estimate.rows,
        "done": estimate.done,
        "measured": estimate.measured,
        "roles": {each.role: _role_json(each) for each in estimate.roles},
        "cost": _range_json(estimate.cost, 6),
        "spent": None if made.spent is None else round(made.spent, 6),
        "unpriced": list(estimate.unpriced),
    }


def _role_json(role: RoleEstimate) -> JsonObject:
    return {
        "model": role.model,
        "measured": role.is_measured,
        "calls": _range_json(role.calls),
        "prompt_tokens": _range_json(role.prompt_tokens),
        "completion_tokens": _range_json(role.completion_tokens),
        "cost": _range_json(role.cost, 6),
    }


def _range_json(given: CostRange | None, digits: int | None = None) -> dict[str, float] | None:
    if given is None:
        return None
    ends = {"estimate": given.estimate, "low": given.low, "high": given.high}
    return {name: round(value, digits) for name, value in ends.items()}


def _rows(made: DryRun) -> Iterator[list[str]]:
    from clairkit.journal.prices import dollars

    roles = [role for role in made.estimate.roles if role.calls.high]
    for role in roles:
        yield [f"{role.role}: calls", *_counts(role.calls)]
        if role.prompt_tokens.high:
            yield [f"{role.role}: prompt tokens", *_counts(role.prompt_tokens)]
            yield [f"{role.role}: completion tokens", *_counts(role.completion_tokens)]
        if role.cost is not None and role.cost.high:
            yield [f"{role.role}: cost", *_costs(role.cost)]
    if made.estimate.cost is not None and len(roles) > 1:
        yield ["cost in all", *_costs(made.estimate.cost)]
    if made.spent:
        yield ["spent so far", dollars(made.spent), ""]


def _counts(given: CostRange) -> list[str]:
    ends = f"{given.low:,.0f} to {given.high:,.0f}"
    return [f"{given.estimate:,.0f}", "" if given.low == given.high else ends]


def _costs(given: CostRange) -> list[str]:
    from clairkit.journal.prices import dollars

    ends = f"{dollars(given.low)} to {dollars(given.high)}"
    return [dollars(given.estimate), "" if given.low == given.high else ends]


def _note(estimate: Estimate) -> str:
    from clairkit.journal.prices import LIST_DATE

    roles = [role for role in estimate.roles if role.calls.high]
    if not roles:
        return "Nothing is left to ask."
    guessed = [role.role for role in roles if not role.is_measured]
    lines = []
    if len(guessed) < len(roles):
        lines.append(f"Ranges of 95 %, from the {estimate.measured:,} rows that are done.")
    if guessed:
        lines.append(
            f"Forecast of {', '.join(guessed)} from the texts, half to twice of it, without "
            "replies that are asked for again and without a model's thoughts. --probes 20 asks "
            "20 rows of the run and measures."
        )
    for model in estimate.unpriced:
        bare = model.removeprefix("openai:")
        lines.append(
            f"No price is known for {model}: give --price {bare}=IN,OUT in US$ per million tokens."
        )
    if estimate.cost is not None and estimate.cost.high:
        lines.append(f"US$, by --price and --prices, else by OpenAI's list of {LIST_DATE}.")
    return "\n".join(lines)
