"""Choose between apo_zero and apo_down by q, as `--loss auto` asks.

q is how often a chosen answer is better than the target's own. Its 95 % interval takes pairs of one
prompt together. Above one half `apo_zero` is chosen, below it `apo_down`; where the interval holds
one half, nothing is. When q is one half, a choice is made in 1 of 20 runs, as often either way.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.batching import EncodedPair
from clairkit.errors import DataError, EvidenceError, UsageError
from clairkit.records import Pair, read_pairs
from clairkit.records.faults import RowFault
from clairkit.records.json_types import JsonMapping
from clairkit.records.leakage import prompt_digest
from clairkit.records.read import located_rows
from clairkit.scoring.own_answer import own_side
from clairkit.statistics.estimates import Estimate
from clairkit.statistics.sample_size import needed
from clairkit.statistics.win_rate import MOST_UNPARSED, mean_share
from clairkit.training.config import TrainConfig
from clairkit.training.config_sources import Resolved
from clairkit.training.reading import columns_of
from clairkit.training.run_directory import files

RULE = "95 % interval of q above 1/2: apo_zero; below 1/2: apo_down"
_BY = "auto: "
_VOTES = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}


@dataclass(frozen=True)
class Said:
    """What a judge or people said of one pair: its score, 1 where chosen is better.

    Attributes:
        low: the score if each reply that can't be read had spoken against the chosen side.
        high: the score if each had spoken for it.
        by: who.
        consistent: the same in both orders; None where that is unknown.
        unread: share of replies that can't be read.
    """

    low: float
    high: float
    by: str
    consistent: bool | None = None
    unread: float = 0.0


@dataclass(frozen=True)
class LossChoice:
    """The loss that verdicts speak for, and what that rests on."""

    loss: str
    facts: JsonMapping

    def put_into(self, resolved: Resolved) -> Resolved:
        """Return the configuration with the loss, its origin saying why."""
        config = dataclasses.replace(resolved.config, loss=self.loss)
        origins = {**resolved.origins, "loss": f"{_BY}{self.facts['evidence']}"}
        return Resolved(config, origins, {"loss": self.loss, **self.facts})


def with_loss(resolved: Resolved, *, resume: bool) -> Resolved:
    """Return the configuration with the loss that the verdicts speak for, where it is open.

    Args:
        resolved: as given.
        resume: the run goes on; the loss that it chose then stands.

    Raises:
        UsageError: the run to be resumed is none.
        DataError: no verdict tells q.
        EvidenceError: the verdicts do not decide.
    """
    config = resolved.config
    if not config.loss_is_open:
        return resolved
    run = Path(config.output)
    if resume:
        loss = files.saved_values(run)["loss"]
        origin = files.saved_origins(run).get("loss", "")
        if origin.startswith(_BY):
            origins = {**resolved.origins, "loss": origin}
            choice = files.kept_facts(run).get("loss_choice")
            return Resolved(dataclasses.replace(config, loss=loss), origins, choice)
    pairs = read_pairs(config.pairs, skip_bad=config.skip_bad, columns=columns_of(config))
    return choose_loss(config, pairs).put_into(resolved)


def settled_loss(
    config: TrainConfig, pairs: Iterable[Pair] | Iterable[EncodedPair]
) -> tuple[TrainConfig, Iterable[Pair] | Iterable[EncodedPair], LossChoice | None]:
    """Return configuration and pairs of a trainer with the loss that their verdicts speak for.

    Raises:
        UsageError: the loss is open, and the pairs are encoded: no verdict is left of them.
    """
    if not config.loss_is_open:
        return config, pairs, None
    given = list(pairs)
    records = [pair for pair in given if isinstance(pair, Pair)]
    if len(records) < len(given):
        raise UsageError(
            "loss auto reads the verdicts on the pairs, and encoded pairs hold none",
            remedy="pass the records, or name the loss",
        )
    choice = choose_loss(config, records)
    return dataclasses.replace(config, loss=choice.loss), records, choice


def choose_loss(config: TrainConfig, pairs: Iterable[Pair]) -> LossChoice:
    """Return the loss that the verdicts on the pairs speak for.

    Args:
        config: with the file of votes, if people gave verdicts.
        pairs: with their judge's verdicts among their `scores`, if a judge did.

    Raises:
        DataError: no verdict tells q.
        EvidenceError: they do not decide, or too many can't be read.
    """
    votes = None if config.votes is None else _read_votes(config.votes)
    verdicts, prompts, missing = [], [], Counter[str]()
    for pair in pairs:
        side = own_side(pair)
        said = _judged(pair) if votes is None else votes.get(pair.id)
        if said is None or side is None:
            missing["" if said is None else pair.source] += 1
            continue
        # a chosen side that is the target's own answer ties with itself
        verdicts.append(Said(0.5, 0.5, said.by, said.consistent) if side == "chosen" else said)
        prompts.append(prompt_digest(pair))
    if not verdicts:
        raise _no_verdict(config, missing)
    return _decided(verdicts, prompts, config)


def _decided(verdicts: Sequence[Said], prompts: Sequence[int], config: TrainConfig) -> LossChoice:
    unread = sum(said.unread for said in verdicts) / len(verdicts)
    if unread > MOST_UNPARSED:
        raise EvidenceError(
            f"{unread:.0%} of the verdicts on the pairs can't be read, so that q is not known",
            remedy="ask another judge with `clairkit score --judge`",
        )
    found, low, high = _estimated(verdicts, prompts)
    by = ", ".join(sorted({said.by for said in verdicts}))
    known = [said.consistent for said in verdicts if said.consistent is not None]
    consistency = sum(known) / len(known) if known else None
    evidence = (
        f"q = {found.estimate:.3f} {_interval(low, high)}, {len(verdicts)} pairs of "
        f"{len(set(prompts))} prompts, {by}"
    ) + ("" if consistency is None else f", the same in both orders {consistency:.0%}")
    if low is not None and low > 0.5:
        loss, why = "apo_zero", "better"
    elif high is not None and high < 0.5:
        loss, why = "apo_down", "worse"
    else:
        raise _open(found, evidence, "votes" if config.votes else "judged pairs")
    facts = {
        "reason": f"{loss}: chosen answers are {why} than the target's own ({evidence})",
        "evidence": evidence,
        "rule": RULE,
        "q": found.estimate,
        "low": low,
        "high": high,
        "n": len(verdicts),
        "prompts": len(set(prompts)),
        "unread": unread,
        "consistency": consistency,
        "by": by,
        "file": Path(config.votes or config.pairs).name,
    }
    return LossChoice(loss, facts)


def _estimated(
    verdicts: Sequence[Said], prompts: Sequence[int]
) -> tuple[Estimate, float | None, float | None]:
    """Return q of what can be read; the lower end of the worst case, the upper of the best."""
    read = [at for at, said in enumerate(verdicts) if said.unread < 1]
    # of a pair with one reply that can be read, that one's score
    scores = [verdicts[at].low / (1 - verdicts[at].unread) for at in read]
    found = worst = best = mean_share(scores, [prompts[at] for at in read])
    if any(said.unread for said in verdicts):
        worst = mean_share([said.low for said in verdicts], prompts)
        best = mean_share([said.high for said in verdicts], prompts)
    low, high = worst.interval, best.interval
    return found, None if low is None else low.low, None if high is None else high.high


def _interval(low: float | None, high: float | None) -> str:
    return "[no interval]" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _judged(pair: Pair) -> Said | None:
    """Return what `score --judge` wrote: the mean of both orders, or of the one that was read."""
    scores = pair.scores
    if "judge_win" not in scores:
        return None
    by, win = f"judge {scores.get('judge')}", scores["judge_win"]
    if win is None:
        return Said(0.0, 1.0, by, unread=1.0)
    consistent = scores.get("judge_consistent")
    if consistent is None:
        return Said(win / 2, (win + 1) / 2, by, unread=0.5)
    return Said(win, win, by, consistent)


def _read_votes(path: str) -> dict[str, Said]:
    """Return the mean vote on each pair, of a file that `label import` wrote.

    Raises:
        DataError: a row is no vote on the sides of a pair.
    """
    given: defaultdict[str, list[float]] = defaultdict(list)
    for line, row in located_rows(path):
        if isinstance(row, RowFault):
            raise row.to_error(path, line)
        vote: Any = row.get("label")
        if list(row.get("names") or ()) != ["chosen", "rejected"] or vote not in _VOTES:
            raise DataError(
                "the row is no vote on which side of a pair is better",
                path=path,
                line=line,
                received=vote,
                remedy="make it by `clairkit label export PAIRS` and `clairkit label import`",
            )
        given[str(row["id"])].append(_VOTES[vote])
    means = {pair: sum(votes) / len(votes) for pair, votes in given.items()}
    return {pair: Said(mean, mean, f"votes of {Path(path).name}") for pair, mean in means.items()}


def _no_verdict(config: TrainConfig, missing: Mapping[str, int]) -> DataError:
    named = {source: count for source, count in missing.items() if source}
    if named:
        listed = ", ".join(f"{count} {source}" for source, count in sorted(named.items()))
        return DataError(
            "loss auto needs pairs that tell the target's own answer, and of those with a verdict "
            "none does",
            path=config.pairs,
            received=listed,
            remedy="name the loss: `--loss apo_zero` where chosen answers are better than the "
            "target's own, else `--loss apo_down`",
        )
    source = Path(config.pairs)
    command = (
        f"clairkit score {shlex.quote(config.pairs)} --judge openai:MODEL "
        f"-o {shlex.quote(source.name.removesuffix(''.join(source.suffixes)) + '.judged.jsonl')}"
    )
    return DataError(
        "loss auto needs verdicts on whether chosen answers are better than the target's own, and "
        f"{'the votes are on none of the pairs' if config.votes else 'the pairs have none'}",
        path=config.pairs,
        remedy=f"run `{command}` and train on its output, or name the loss",
    )


def _open(found: Estimate, evidence: str, unit: str) -> EvidenceError:
    more = needed(found, 0.5).more
    about = (
        f"about {more:,} more {unit} would tell"
        if more
        else "more verdicts of this kind would not tell"
    )
    return EvidenceError(
        f"whether chosen answers are better than the target's own is open: {evidence}",
        remedy=f"{about}; or try both with `clairkit sweep` (factor `loss: [apo_zero, apo_down]`), "
        "or name one with --loss",
    )
