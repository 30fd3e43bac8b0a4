"""Lay out what `build-pairs` left beside its pairs: funnel, cost, the reviser's health card."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.markup import Markup
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.report.gather import Build
from clairkit.report.language import Language, count_text, percent_text

_METER = Markup(
    '<svg class="meter" viewBox="0 0 160 10" width="160" height="10" aria-hidden="true">'
    '<rect class="f0" width="{:.1f}" height="10"/></svg>'
)


def build_values(build: Build, words: Language) -> JsonObject:
    """Return what the template of a build takes; empty lists for what there is not."""
    card = build.health or {}
    settings = build.entry.get("settings") or {}
    return {
        "name": build.name,
        "funnel": _funnel(build, words),
        "reasons": build.reasons,
        "costs": _costs(build.entry, words),
        "settings": [[name, str(value)] for name, value in settings.items()],
        "state": words.phrase(str(card.get("state"))),
        "health": [_health(each, words) for each in (card.get("findings") or {}).values()],
    }


def _funnel(build: Build, words: Language) -> list[list[str]]:
    from clairkit.models.reasons import reason

    entry = build.entry
    counts: Mapping[str, int] = entry.get("counts") or {
        each.code: each.count for each in build.reasons
    }
    pairs = entry.get("pairs")
    if not counts and pairs is None:
        return []
    total = sum(counts.values()) + (pairs or 0) + entry.get("unfinished", 0)
    lines: list[tuple[str, int]] = [] if pairs is None else [(words.say("became_pair"), pairs)]
    for code, n in counts.items():
        lines.append((f"{code}: {words.reasons.get(code) or reason(code).meaning}", n))
    if entry.get("unfinished"):
        lines.append((words.say("unfinished"), entry["unfinished"]))
    rows = [
        [
            name,
            count_text(n),
            percent_text(n / total) if total else "",
            _METER.format(160 * n / total if total else 0),
        ]
        for name, n in lines
    ]
    for code, n in (entry.get("flags") or {}).items():
        rows.append([words.say("flagged", code=code), count_text(n), "", ""])
    return rows


def _costs(entry: JsonMapping, words: Language) -> list[list[str]]:
    if "calls" not in entry:
        return []
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
    return rows


def _health(finding: JsonMapping, words: Language) -> list[str]:
    interval, share = finding.get("interval"), finding.get("share")
    return [
        str(finding.get("label")),
        "" if share is None else f"{percent_text(share)} ({finding['hits']}/{finding['n']})",
        "" if interval is None else f"{percent_text(interval[0])} - {percent_text(interval[1])}",
        percent_text(finding["threshold"]),
        words.phrase(str(finding.get("verdict"))),
    ]
