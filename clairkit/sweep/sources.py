"""Cut sources of pairs to one size, and say what each is: pairs, tokens, contrastiveness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clairkit.errors import DataError
from clairkit.records import ColumnChoice, Pair, read_pairs, write_pairs
from clairkit.records.leakage import prompt_digest
from clairkit.records.output import atomic_write
from clairkit.scoring import load_tokenizer, score_pair
from clairkit.sweep.spec import SweepSpec

FOLDER, MANIFEST = "pairs", "manifest.json"
_HOW = {
    "none": "each source whole",
    "pairs": "each source cut to the pairs of the smallest",
    "tokens": "each source cut to the response tokens of the smallest",
}
_ORDER = "taken in the order of sha256(seed, prompt), so that sources keep the same prompts"
_COLUMNS = ("prompt_column", "system_column", "ignore_column", "skip_bad")


@dataclass(frozen=True)
class SourceFacts:
    """What a source is after it was cut.

    Attributes:
        file: that is trained on.
        source: the file that was named.
        pairs: rows.
        tokens: of chosen and rejected answers.
        of_pairs: rows of the whole source.
        of_tokens: tokens of the whole source.
        contrastiveness: mean share of both sides that they have in common; None of an empty one.
        sha256: of the file; "" where it is the source itself.
    """

    file: str
    source: str
    pairs: int
    tokens: int
    of_pairs: int
    of_tokens: int
    contrastiveness: float | None
    sha256: str = ""


def prepare_sources(spec: SweepSpec, folder: Path, *, write: bool = True) -> dict[str, SourceFacts]:
    """Cut the sources as the sweep says, and write them with a manifest.

    Args:
        spec: of the sweep; its first seed decides which pairs stay.
        folder: of the sweep.
        write: False only tells what would be written.

    Returns:
        The facts of each source by its name; "" is the one that the base names.

    Raises:
        DataError: a source can't be read, or holds no pair.
    """
    tokenizer = load_tokenizer(str(spec.base["model"]))
    named = dict(spec.pairs) or {"": str(spec.base["pairs"])}
    whole = {name: _read(file, spec.base) for name, file in named.items()}
    sizes = {name: [_size(pair, tokenizer) for pair in pairs] for name, pairs in whole.items()}
    limit = min(len(each) if spec.equal == "pairs" else sum(each) for each in sizes.values())
    facts = {}
    for name, pairs in whole.items():
        tokens = sizes[name]
        kept = list(range(len(pairs)))
        file, digest = named[name], ""
        if spec.equal != "none":
            kept = _kept(pairs, tokens, spec, limit)
            file = str(folder / FOLDER / f"{name}.jsonl")
            if write:
                digest = _write(Path(file), [pairs[at] for at in kept])
        scores = [
            score_pair(pairs[at].prompt, pairs[at].chosen, pairs[at].rejected, tokenizer)
            for at in kept
        ]
        facts[name] = SourceFacts(
            file=file,
            source=named[name],
            pairs=len(kept),
            tokens=sum(tokens[at] for at in kept),
            of_pairs=len(pairs),
            of_tokens=sum(tokens),
            contrastiveness=sum(each.contrastiveness for each in scores) / len(scores),
            sha256=digest,
        )
    if write and spec.equal != "none":
        _write_manifest(spec, folder, facts)
    return facts


def described(spec: SweepSpec) -> str:
    """Return in a sentence how the sources were made equal."""
    how = _HOW[spec.equal]
    return how if spec.equal == "none" else f"{how}, {_ORDER} (seed {spec.seeds[0]})"


def without_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration for a file that was cut: its columns are the usual ones."""
    return {key: value for key, value in values.items() if key not in _COLUMNS}


def _read(file: str, base: Mapping[str, Any]) -> list[Pair]:
    columns = ColumnChoice(
        base.get("prompt_column"), base.get("system_column"), tuple(base.get("ignore_column") or ())
    )
    pairs = list(
        read_pairs(file, skip_bad=bool(base.get("skip_bad")), one_sided=True, columns=columns)
    )
    if not pairs:
        raise DataError("there is no pair", path=file)
    return pairs


def _size(pair: Pair, tokenizer: Any) -> int:
    texts = [turn["content"] for turn in (*(pair.chosen or ()), *(pair.rejected or ()))]
    return sum(len(tokenizer(text)["input_ids"]) for text in texts)


def _kept(pairs: Sequence[Pair], tokens: Sequence[int], spec: SweepSpec, limit: int) -> list[int]:
    """Return the places of the pairs that stay, in their order."""

    def drawn(at: int) -> tuple[bytes, str]:
        text = f"{spec.seeds[0]} {prompt_digest(pairs[at])}"
        return hashlib.sha256(text.encode()).digest(), pairs[at].id

    kept, used = [], 0
    for at in sorted(range(len(pairs)), key=drawn):
        used += 1 if spec.equal == "pairs" else tokens[at]
        if used > limit:
            break
        kept.append(at)
    return sorted(kept)


def _write(file: Path, pairs: Sequence[Pair]) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_pairs(file, pairs, force=True)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_manifest(spec: SweepSpec, folder: Path, facts: Mapping[str, SourceFacts]) -> None:
    held = {"how": described(spec), "sources": {name: asdict(each) for name, each in facts.items()}}
    with atomic_write(folder / FOLDER / MANIFEST) as file:
        file.write(json.dumps(held, ensure_ascii=False, indent=1).encode() + b"\n")
