"""Show one pair, what changed in it, and what a loss mask would train on (`score --show`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from clairkit.choices import LOSS_MASKS
from clairkit.cli.score.checks import set_asked
from clairkit.cli.shared.options import add_options
from clairkit.display import redact
from clairkit.errors import UsageError

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.evaluation.pairs.mask_preview import MaskPreview, TokenPiece
    from clairkit.records import Message, Pair
    from clairkit.records.json_types import JsonMapping

Pieces = Sequence[tuple[str, str]]  # same, removed or added, and the text
Parts = Iterator[tuple[str, str]]  # texts, each with a style

_KEPT = 160  # characters that are shown of equal text, on either side of a change
_MARKS = {"removed": ("[-", "-]", "red"), "added": ("{+", "+}", "green"), "same": ("", "", "")}
_SPACES = str.maketrans({"\n": "\\n\n", "\r": "\\r", "\t": "\\t"})
_BLANKED = "Secrets are shown as [redacted]; tokens and changes are those of the text shown."

show_options = add_options(
    click.option("--show", metavar="ID", help="One pair; the beginning of its id is enough."),
    click.option(
        "--loss-mask",
        type=click.Choice(LOSS_MASKS),
        help="With --show: the tokens that train --loss-mask would train on.",
    ),
)
"""Adds the options of the view of one pair."""


def view_asked(
    pairs: Sequence[str], output: str | None, drop: str | None, flags: JsonMapping
) -> bool:
    """Tell whether --show is given.

    Args:
        pairs: files that were given.
        output: of --output.
        drop: of --drop.
        flags: the other options.

    Raises:
        UsageError: --show with options that have no say in it, or --loss-mask without it.
    """
    given, mask = flags["show"], flags["loss_mask"]
    if given is None:
        if mask is not None:
            raise UsageError("--loss-mask shows one pair", received=mask, remedy="add --show ID")
        return False
    if output is not None:
        raise UsageError("--show writes no pairs", received=output, remedy="leave out -o")
    if drop is not None or set_asked(flags):
        raise UsageError(
            "--show takes one pair, --drop, --by and checks a whole set",
            remedy="leave them out, or leave out --show",
        )
    if model := flags["target"] or flags["reward"] or flags["judge"]:
        raise UsageError("--show runs no model", received=model, remedy="score with -o first")
    if mask is None and (flags["config"] or flags["settings"]):
        raise UsageError("--config and --set are for the loss mask", remedy="add --loss-mask edits")
    if len(pairs) > 1:
        raise UsageError(
            "--show takes one set of pairs",
            received=" ".join(pairs),
            remedy="name the one that holds the pair",
        )
    return True


def show(console: Console, source: str, named: str | None, flags: JsonMapping) -> None:
    """Show one pair: prompt, changes, rationale, scores, and the mask where one is named.

    Args:
        console: where to.
        source: of the pairs.
        named: whose tokenizer counts, and is masked.
        flags: of the command.

    Raises:
        UsageError: a loss mask without a tokenizer.
        DataError: no pair has this id, or training would drop it.
    """
    from clairkit.records import read_pairs
    from clairkit.scoring import load_tokenizer, score_pair
    from clairkit.scoring.show import find_pair

    rows = read_pairs(source, skip_bad=flags["skip_bad"], columns=flags["columns"])
    found = find_pair(rows, flags["show"])
    pair = _without_secrets(found)
    preview = None
    if flags["loss_mask"] is not None:
        preview, tokenizer = _preview(pair, source, named, flags)
    else:
        tokenizer = load_tokenizer(named) if named is not None else None
    scores = score_pair(found.prompt, found.chosen, found.rejected, tokenizer).to_json()
    pieces = _pieces(pair)
    parts = [*_pair_parts(pair, pieces), *_score_parts(pair, scores)]
    if preview is not None:
        parts += _mask_parts(preview)
    if pair != found:
        parts += [("\n\n" + _BLANKED, "")]
    console.styled(parts)
    console.result(
        {
            "id": pair.id,
            "source": pair.source,
            "scores": {**pair.scores, **scores},
            "changes": [{"kind": kind, "text": text} for kind, text in pieces],
            "loss_mask": None if preview is None else asdict(preview),
        }
    )


def _without_secrets(pair: Pair) -> Pair:
    """Blank secrets before anything is cut to pieces, in which they could not be told."""

    def blank(side: Sequence[Message]) -> tuple[Message, ...]:
        return tuple({**message, "content": redact(message["content"])} for message in side)

    rationale = None if pair.rationale is None else redact(pair.rationale)
    return replace(
        pair,
        prompt=blank(pair.prompt),
        chosen=blank(pair.chosen),
        rejected=blank(pair.rejected),
        rationale=rationale,
    )


def _pieces(pair: Pair) -> Pieces:
    """What changed, as the report shows it, too."""
    from clairkit.report.diff import diff
    from clairkit.scoring.show import side_text

    parts = diff(side_text(pair.rejected), side_text(pair.chosen)).parts
    kinds = itertools.cycle(("same", "removed", "added"))
    return [(kind, text) for kind, text in zip(kinds, parts, strict=False) if text]


def _preview(
    pair: Pair, source: str, named: str | None, flags: JsonMapping
) -> tuple[MaskPreview, Any]:
    from clairkit.cli.score.models import run_config
    from clairkit.evaluation.pairs.mask_preview import preview_mask
    from clairkit.training.models import load_tokenizer

    mask = flags["loss_mask"]
    config = run_config(named, source, flags["config"], flags["settings"], loss_mask=mask)
    tokenizer = load_tokenizer(config)
    return preview_mask(pair, tokenizer, config), tokenizer


def _pair_parts(pair: Pair, pieces: Pieces) -> Parts:
    yield f"Pair {pair.id}, {pair.source}", "bold"
    for message in pair.prompt:
        yield from _section(f"Prompt, {message['role']}", message["content"])
    kinds = ["same", *(kind for kind, _ in pieces)]
    count = sum(before == "same" != kind for before, kind in itertools.pairwise(kinds))
    places = f"{count} place{'s' * (count != 1)}" if count else "none: both sides are the same"
    yield f"\n\n== Changes from rejected to chosen, {places}\n", "bold"
    yield from _changes(pieces)
    if pair.rationale:
        yield from _section("Rationale", pair.rationale)


def _section(title: str, text: str) -> Parts:
    from clairkit.scoring.show import fold

    yield f"\n\n== {title}\n", "bold"
    yield fold(text, 4 * _KEPT), ""


def _changes(pieces: Pieces) -> Parts:
    from clairkit.scoring.show import fold

    for place, (kind, text) in enumerate(pieces):
        before, after, style = _MARKS[kind]
        if kind == "same":
            text = fold(text, _KEPT, first=place == 0, last=place == len(pieces) - 1)
        elif text.isspace():  # what came or went would not be seen
            text = text.translate(_SPACES)
        yield f"{before}{text}{after}", style


def _score_parts(pair: Pair, scores: JsonMapping) -> Parts:
    unit = f"tokens of {scores['tokenizer']}" if scores["tokenizer"] else "grapheme clusters"
    yield f"\n\n== Scores, unit: {unit}", "bold"
    for name, value in {**pair.scores, **scores}.items():
        if name not in ("unit", "tokenizer"):
            yield f"\n{name}: {_value(value)}", ""


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _mask_parts(preview: MaskPreview) -> Parts:
    sides = {"chosen": preview.chosen, "rejected": preview.rejected}
    for name, pieces in sides.items():
        weights = [weight for piece in pieces for weight in piece.weights]
        full = weights.count(1.0)
        share = f"{full / len(weights):.0%}" if weights else "none"
        yield f"\n\n== Loss mask {preview.loss_mask}, {name}: ", "bold"
        yield f"{{trained}} {full} of {len(weights)} tokens ({share})", "bold"
        if preview.loss_mask == "weighted":
            yield f", the others at weight {preview.shared_weight:g}", "bold"
        yield "\n", ""
        yield from _masked(pieces)
    facts = [f"Prompt: {preview.prompt_tokens} tokens, never trained on", *preview.notes]
    yield f"\n\n{'; '.join(facts)}.", ""


def _masked(pieces: Sequence[TokenPiece]) -> Parts:
    """Trained tokens between braces, divided by bars; the others as text."""
    from clairkit.scoring.show import fold

    runs = [(trained, list(run)) for trained, run in itertools.groupby(pieces, _is_trained)]
    for place, (trained, run) in enumerate(runs):
        if trained:
            yield "{" + "|".join(map(_trained_text, run)) + "}", "green"
        else:
            text = "".join(piece.text for piece in run)
            yield fold(text, _KEPT, first=place == 0, last=place == len(runs) - 1), "dim"


def _is_trained(piece: TokenPiece) -> bool:
    return 1.0 in piece.weights


def _trained_text(piece: TokenPiece) -> str:
    text = piece.text.translate(_SPACES)
    full = piece.weights.count(1.0)
    return text if full == len(piece.weights) else f"{text}: {full} of its {len(piece.weights)}"
