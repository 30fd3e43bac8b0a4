"""What `build-pairs` left beside its pairs: the funnel of its rows, its cost, the health card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clairkit.report.gather import Build
from clairkit.report.html import Cell, count_text, element, percent_text, table
from clairkit.report.language import Language


def build_section(build: Build, words: Language) -> str:
    """Return the funnel of its rows, what it took, and the health card, as far as there are any."""
    parts = [_funnel(build, words), _costs(build, words)]
    if build.health is not None:
        parts.append(_health(build.health, words))
    return "".join(parts)


def _funnel(build: Build, words: Language) -> str:
    from clairkit.models.reasons import reason

    entry = build.entry
    counts: Mapping[str, int] = entry.get("counts") or {
        each.code: each.count for each in build.reasons
    }
    pairs = entry.get("pairs")
    if not counts and pairs is None:
        return ""
    total = sum(counts.values()) + (pairs or 0) + entry.get("unfinished", 0)
    lines: list[tuple[str, int]] = [] if pairs is None else [(words.say("became_pair"), pairs)]
    for code, n in counts.items():
        lines.append((f"{code}: {words.reasons.get(code) or reason(code).meaning}", n))
    if entry.get("unfinished"):
        lines.append((words.say("unfinished"), entry["unfinished"]))
    rows: list[list[str | Cell]] = [
        [name, count_text(n), percent_text(n / total) if total else "", _meter(n, total)]
        for name, n in lines
    ]
    for code, n in (entry.get("flags") or {}).items():
        rows.append([words.say("flagged", code=code), count_text(n), "", ""])
    head = [words.say(key) for key in ("outcome", "rows", "share")]
    title = element("h2", words.say("funnel", name=build.name))
    return title + table([*head, ""], rows) + _examples(build, words)


def _meter(count: int, total: int) -> Cell:
    width = 160 * count / total if total else 0
    return Cell(
        '<svg class="meter" viewBox="0 0 160 10" width="160" height="10" aria-hidden="true">'
        f'<rect class="f0" width="{width:.1f}" height="10"/></svg>'
    )


def _examples(build: Build, words: Language) -> str:
    head = [words.say(key) for key in ("row", "prompt", "detail")]
    title = words.say("examples")
    return "".join(
        f"<details>{element('summary', f'{title}: {each.code}')}"
        f"{table(head, each.examples, words_in=3)}</details>"
        for each in build.reasons
    )


def _costs(build: Build, words: Language) -> str:
    entry = build.entry
    if "calls" not in entry:
        return ""
    tokens, cost, pairs = entry.get("tokens") or {}, entry.get("cost"), entry.get("pairs")
    rows = [[words.say("calls"), count_text(entry["calls"])]]
    rows += [
        [words.say(f"tokens_{kind}"), count_text(tokens[kind])]
        for kind in ("prompt", "completion")
        if kind in tokens
    ]
    rows.append([words.say("cost"), words.say("unknown") if cost is None else f"{cost:.2f}"])
    if cost is not None and pairs:
        rows.append([words.say("cost_pair"), f"{cost / pairs:.4f}"])
    settings = [[name, str(value)] for name, value in (entry.get("settings") or {}).items()]
    shown = table([words.say("setting"), words.say("value")], settings, words_in=2)
    return (
        element("h2", words.say("costs"))
        + table([], rows)
        + f"<details>{element('summary', words.say('settings'))}{shown}</details>"
    )


def _health(card: Mapping[str, Any], words: Language) -> str:
    rows = []
    for finding in (card.get("findings") or {}).values():
        interval = finding.get("interval")
        ends = (
            "" if interval is None else f"{percent_text(interval[0])} - {percent_text(interval[1])}"
        )
        share = finding.get("share")
        shown = "" if share is None else f"{percent_text(share)} ({finding['hits']}/{finding['n']})"
        verdict = words.phrase(str(finding.get("verdict")))
        rows.append(
            [str(finding.get("label")), shown, ends, percent_text(finding["threshold"]), verdict]
        )
    keys = ("finding", "share", "interval", "threshold", "verdict")
    state = words.phrase(str(card.get("state")))
    title = element("h2", words.say("health", state=state))
    return title + table([words.say(key) for key in keys], rows)
