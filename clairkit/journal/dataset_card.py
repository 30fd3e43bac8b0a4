"""Write the dataset card: what the pairs are, how they were made, and how to check them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from clairkit.display import counted, excerpt
from clairkit.journal.prices import dollars
from clairkit.models.reasons import reason
from clairkit.records import atomic_write
from clairkit.records.json_types import JsonMapping

Entry = JsonMapping

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_SIDES = {
    "clair": "`rejected` is the target model's own answer, `chosen` its minimal revision by the "
    "reviser",
    "worsen": "`chosen` is the target model's own answer, `rejected` that answer made worse by the "
    "reviser",
    "judge-on-policy": "both sides are answers of the target model; a judge took the best as "
    "`chosen` and the worst as `rejected`",
    "judge-off-policy": "both sides are answers of other models; a judge took the best as "
    "`chosen` and the worst as `rejected`",
    "stronger-preferred": "`chosen` is a stronger model's answer, `rejected` the target model's",
}


def card_path(output: Path) -> Path:
    """Return where the card of an output stands: in its folder, or beside its file."""
    return output / "README.md" if output.is_dir() else output.with_name(f"{output.name}.card.md")


def write_card(output: Path, entries: Sequence[Entry]) -> None:
    """Write the card of an output from its manifest. The same lines give the same card."""
    with atomic_write(card_path(output)) as file:
        file.write(card_text(output, entries).encode("utf-8", "backslashreplace"))


def is_card_of(output: Path, entries: Sequence[Entry]) -> bool:
    """Whether the card that is there names the manifest's last line."""
    try:
        return str(entries[-1]["hash"]).encode() in card_path(output).read_bytes()
    except OSError:
        return False


def card_text(output: Path, entries: Sequence[Entry]) -> str:
    """Return the card as Markdown with the header that the Hub reads."""
    from jinja2 import Environment

    last = entries[-1]
    made = next((entry for entry in reversed(entries) if "settings" in entry), last)
    settings = made.get("settings", {})
    method = "worsen" if settings.get("worsen") else str(settings.get("method", "clair"))
    pairs, removed = last.get("pairs", 0), last.get("removed", 0)
    maker = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    maker.filters |= {"cell": _cell, "yaml": _yaml}
    template = resources.files("clairkit").joinpath("journal/assets/card.md").read_text("utf-8")
    return maker.from_string(template).render(
        output=output,
        last=last,
        lines=len(entries),
        pairs=counted(pairs, "preference pair"),
        size=next((name for least, name in _SIZES if pairs < least), "n>1M"),
        data="*.arrow" if output.is_dir() else output.name,
        sides=_SIDES.get(method, "`chosen` is to be preferred to `rejected`"),
        gone=f" Removed for good: {counted(removed, 'prompt')}." if removed else "",
        tables=(
            ("How they were made", "setting", "value", list(_settings(settings))),
            ("What became of the prompts", "outcome", "rows", list(_outcomes(made, last))),
            ("What it took", "", "", list(_spent(made))),
        ),
    )


def _settings(settings: JsonMapping) -> Iterator[tuple[str, str]]:
    gates = [f"{name[5:]}={value}" for name, value in settings.items() if name.startswith("gate.")]
    for name, value in settings.items():
        if not name.startswith("gate."):
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if gates:
        yield "gates", ", ".join(gates)


def _outcomes(made: Entry, last: Entry) -> Iterator[tuple[str, str]]:
    yield "pair", f"{last.get('pairs', 0):,}"
    for code, count in made.get("flags", {}).items():
        yield f"of these, kept with the flag {code}: {reason(code).meaning}", f"{count:,}"
    for code, count in made.get("counts", {}).items():
        yield f"{code}: {reason(code).meaning}", f"{count:,}"
    if made.get("unfinished"):
        yield "not done yet", f"{made['unfinished']:,}"


def _spent(made: Entry) -> Iterator[tuple[str, str]]:
    if "calls" in made:
        yield "calls", f"{made['calls']:,}"
    for kind, count in made.get("tokens", {}).items():
        yield f"{kind} tokens", f"{count:,}"
    if made.get("cost") is not None:
        yield "cost", dollars(made["cost"])


def _cell(text: str) -> str:
    """Text of others as a Markdown cell: one line, nothing in it acts."""
    safe = excerpt(text, 300)
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>|#!~&" else each for each in safe)


def _yaml(text: str) -> str:
    return json.dumps(excerpt(text, 300), ensure_ascii=False)  # JSON is YAML
