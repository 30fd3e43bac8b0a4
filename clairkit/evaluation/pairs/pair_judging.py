"""Let a judge say of each pair whether chosen is better, asked in both orders.

From it comes q, how often a chosen answer is better than the target's own: what decides between
the losses `apo_zero` and `apo_down`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clairkit.engine.driver import run_works
from clairkit.engine.program import Call
from clairkit.engine.progress import ProgressHook
from clairkit.engine.replay import Open, replay
from clairkit.generation.engine import make_budget
from clairkit.generation.settings import BuildSettings
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, Recorded
from clairkit.judging.judge import Judge
from clairkit.judging.verdicts import plain
from clairkit.models.budget import Budget
from clairkit.models.sampling import Failure
from clairkit.records import Pair, PromptRow
from clairkit.records.json_types import JsonObject
from clairkit.records.leakage import prompt_digest
from clairkit.scoring.own_answer import own_side
from clairkit.scoring.units import answers_of, text_of
from clairkit.statistics.estimates import Estimate, Resampling
from clairkit.statistics.sample_size import Needed, needed
from clairkit.statistics.win_rate import Verdict, WinRate, prompt_scores, win_rate

_SETTINGS = {"command": "score"}
_SCORES = {"first": 1.0, "tie": 0.5, "second": 0.0}

Judging = Generator[Sequence[Call], Sequence[Recorded], tuple[Verdict, ...]]


@dataclass(frozen=True)
class Judged:
    """What a judge said of pairs.

    Attributes:
        columns: by the pair's id, what is added to its `scores`.
        wins: how often chosen beats rejected, pairs of one prompt taken together.
        own: how often chosen beats the target's own answer: q; None where no pair tells it.
        unknown: pairs whose file does not tell the target's own answer, by source.
        unfinished: pairs without a verdict yet; then the figures are of the others.
        control: says what stopped the run, if anything did.
    """

    columns: dict[str, JsonObject]
    wins: WinRate | None
    own: WinRate | None
    unknown: dict[str, int]
    unfinished: int
    control: Budget

    @property
    def needed(self) -> Needed | None:
        """Return how many pairs would tell q from one half, if it stays as it is."""
        estimate = None if self.own is None else self.own.estimate
        return None if estimate is None or estimate.is_too_few else needed(estimate, 0.5)

    def to_json(self) -> JsonObject:
        """Return it as `--json` shows it."""
        more = self.needed
        q = None if self.own is None else {**_figures(self.own), "more": more and more.more}
        return {
            "chosen_wins": None if self.wins is None else _figures(self.wins),
            "q": q,
            "q_unknown": self.unknown,
            "unfinished": self.unfinished,
        }


def judge_pairs(
    pairs: Sequence[Pair],
    judge: Judge,
    output: Path,
    *,
    settings: BuildSettings | None = None,
    resampling: Resampling | None = None,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
) -> Judged:
    """Ask the judge about all pairs, each reply kept in the journal beside the output.

    Args:
        pairs: each with an id of its own.
        judge: with its rubric.
        output: the file that the journal stands beside; the same call goes on where it stopped.
        settings: caps and prices.
        resampling: level, draws and seed of the intervals.
        progress: called after each result.
        say: told remarks for the user.

    Raises:
        UsageError: the journal belongs to another command, or the judge has no price and there is a
            cap on the cost.
    """
    settings = settings or BuildSettings()
    prices = settings.prices or Prices()
    if settings.max_cost is not None:
        prices.require([judge.model.name])
    works = [partial(_program, pair, judge) for pair in pairs]
    with closing(Journal(output)) as journal:
        journal.settle(_SETTINGS, force=False)
        control = make_budget(settings, prices, journal)
        run_works(works, journal, control, progress=progress, say=say, total=len(works))
        found = [replay(work, journal) for work in works]
    done = [
        (pair, verdicts)
        for pair, verdicts in zip(pairs, found, strict=True)
        if not isinstance(verdicts, Open)
    ]
    own = {pair.id: said for pair, verdicts in done if (said := _against_own(pair, verdicts))}
    clusters = {pair.id: prompt_digest(pair) for pair, _ in done}
    return Judged(
        columns={
            pair.id: _columns(judge.model.name, verdicts, own.get(pair.id))
            for pair, verdicts in done
        },
        wins=_win_rate([each for _, said in done for each in said], clusters, resampling),
        own=_win_rate([each for said in own.values() for each in said], clusters, resampling),
        unknown=dict(
            sorted(Counter(pair.source for pair, _ in done if pair.id not in own).items())
        ),
        unfinished=len(found) - len(done),
        control=control,
    )


def _program(pair: Pair, judge: Judge) -> Judging:
    """Return the verdicts on chosen in both orders; equal sides tie, and nothing is asked."""
    chosen, rejected = (text_of(answers_of(side)) for side in (pair.chosen, pair.rejected))
    if chosen == rejected:
        return tuple(
            Verdict(pair.id, judge.model.name, is_first, 0.5) for is_first in (True, False)
        )
    row = PromptRow(pair.prompt, id=pair.id)
    orders = ((chosen, rejected), (rejected, chosen))
    asked = [judge.ask(row, answers, stage=0) for answers in orders]
    results = yield [each.call for each in asked]
    verdicts = []
    for is_first, each, recorded in zip((True, False), asked, results, strict=True):
        said = judge.read(each, recorded)
        score = None if isinstance(said, Failure) else _SCORES[plain(said)]
        if score is not None and not is_first:
            score = 1 - score
        verdicts.append(Verdict(pair.id, judge.model.name, is_first, score))
    return tuple(verdicts)


def _against_own(pair: Pair, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return the verdicts on chosen against the target's own answer; none where it is unknown."""
    side = own_side(pair)
    if side == "chosen":
        return tuple(Verdict(pair.id, each.judge, each.candidate_first, 0.5) for each in verdicts)
    return verdicts if side == "rejected" else ()


def _columns(
    judge: str, verdicts: tuple[Verdict, ...], own: tuple[Verdict, ...] | None
) -> JsonObject:
    scores = [each.score for each in verdicts]
    return {
        "judge": judge,
        "judge_win": _mean(verdicts),
        "judge_consistent": None if None in scores else len(set(scores)) == 1,
        **({} if own is None else {"judge_win_own": _mean(own)}),
    }


def _mean(verdicts: tuple[Verdict, ...]) -> float | None:
    return next(iter(prompt_scores(verdicts).values()), None)


def _win_rate(
    verdicts: Sequence[Verdict], clusters: dict[str, int], resampling: Resampling | None
) -> WinRate | None:
    return win_rate(verdicts, clusters, resampling) if verdicts else None


def _figures(found: WinRate) -> JsonObject:
    positions, estimate = found.positions, found.estimate
    consistency = positions.consistency
    return {
        **_estimate(estimate),
        "verdicts": found.verdicts,
        "unparsed": found.unparsed,
        "worst": found.worst,
        "best": found.best,
        "consistency": None if consistency is None else consistency.estimate,
        "first_wins": positions.first_wins,
    }


def _estimate(found: Estimate | None) -> JsonObject:
    return {
        "n": 0 if found is None else found.n,
        "clusters": 0 if found is None else found.clusters,
        "estimate": found and found.estimate,
        "low": found and found.low,
        "high": found and found.high,
        "level": found and found.level,
        "notes": [] if found is None else [str(note) for note in found.notes],
    }
