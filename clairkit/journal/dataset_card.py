"""Write the dataset card: what the pairs are, how they were made, and how to check them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
    last = entries[-1]
    made = next((entry for entry in reversed(entries) if "settings" in entry), last)
    parts = [
        _header(output, last),
        _about(output, made, last),
        _table("How they were made", ("setting", "value"), _settings(made)),
        _table("What became of the prompts", ("outcome", "rows"), _outcomes(made, last)),
        _table("What it took", ("", ""), _spent(made)),
        _columns(),
        _check(output, entries),
    ]
    return "\n".join(part for part in parts if part)


def _header(output: Path, last: Entry) -> str:
    pairs = last.get("pairs", 0)
    size = next((name for least, name in _SIZES if pairs < least), "n>1M")
    data = "*.arrow" if output.is_dir() else output.name
    lines = [
        "---",
        f"pretty_name: {_yaml(output.name)}",
        "tags: [preference, dpo, trl, clairkit]",
        f"size_categories: [{size}]",
        "configs:",
        "- config_name: default",
        f"  data_files: {_yaml(data)}",
        "---",
        "",
    ]
    return "\n".join(lines)


def _about(output: Path, made: Entry, last: Entry) -> str:
    settings = made.get("settings", {})
    method = "worsen" if settings.get("worsen") else str(settings.get("method", "clair"))
    sides = _SIDES.get(method, "`chosen` is to be preferred to `rejected`")
    pairs = last.get("pairs", 0)
    text = f"{counted(pairs, 'preference pair')}, made with clairkit {last['clairkit']}"
    removed = last.get("removed", 0)
    gone = f" Removed for good: {counted(removed, 'prompt')}." if removed else ""
    return f"# {_cell(output.name)}\n\n{text}: {sides}.{gone}\n"


def _settings(made: Entry) -> Iterator[tuple[str, str]]:
    settings = made.get("settings", {})
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


def _columns() -> str:
    return (
        "## Form\n\n"
        "TRL's conversational form with an explicit prompt: `prompt`, `chosen` and `rejected` are\n"
        "lists of messages; `rationale` is the reviser's reasoning. `provenance` has, for each\n"
        "pair, the models, the template with its hash, the sampling, the tokens, and the keys of\n"
        "the replies it was made from.\n"
    )


def _check(output: Path, entries: Sequence[Entry]) -> str:
    name, head = _cell(output.name), entries[-1]["hash"]
    return (
        "## Check\n\n"
        f"Line {len(entries)} of the manifest beside the pairs has the hash `{head}`.\n"
        f"`clairkit verify {name} --head {head[:16]}` compares files, replies and pairs with it.\n"
    )


def _table(title: str, columns: tuple[str, str], rows: Iterator[tuple[str, str]]) -> str:
    lines = [f"| {_cell(left)} | {_cell(right)} |" for left, right in rows]
    if not lines:
        return ""
    return "\n".join([f"## {title}\n", f"| {columns[0]} | {columns[1]} |", "|---|---|", *lines, ""])


def _cell(text: str) -> str:
    """Text of others as a Markdown cell: one line, nothing in it acts."""
    safe = excerpt(text, 300)
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>|#!~&" else each for each in safe)


def _yaml(text: str) -> str:
    return json.dumps(excerpt(text, 300), ensure_ascii=False)  # JSON is YAML
