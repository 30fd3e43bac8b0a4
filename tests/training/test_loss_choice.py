"""`loss: auto`: which loss the verdicts on the pairs speak for, and how often that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clairkit.errors import ClairError, DataError, EvidenceError, UsageError
from clairkit.losses import parse_loss
from clairkit.records import Pair
from clairkit.training import PreferenceTrainer, TrainConfig
from clairkit.training.loss_choice import LossChoice, choose_loss
from clairkit.training.run_directory import files


def config(**more: Any) -> TrainConfig:
    return TrainConfig(model="m", pairs="some pairs.jsonl", output="o", loss="auto", **more)


def pair(at: int, win: float | None = None, **more: Any) -> Pair:
    scores = {} if win is None else {"judge_win": win, "judge_consistent": True, "judge": "j"}
    given = {"source": "clair", "scores": scores, "id": f"p{at}", **more}
    user = {"role": "user", "content": given.pop("prompt", f"question {at}")}
    sides = ({"role": "assistant", "content": text} for text in (f"good {at}", f"bad {at}"))
    chosen, rejected = sides
    return Pair((user,), (chosen,), (rejected,), **given)


def judged(wins: Iterable[float], **more: Any) -> list[Pair]:
    return [pair(at, float(win), **more) for at, win in enumerate(wins)]


def choice(pairs: Iterable[Pair], **more: Any) -> LossChoice:
    return choose_loss(config(**more), pairs)


def outcome(pairs: Iterable[Pair]) -> str:
    try:
        return choice(pairs).loss
    except EvidenceError:
        return "open"


def planted(q: float, error: float, pairs: int, draws: int, seed: int) -> list[np.ndarray]:
    """Mean scores of both orders by a judge that is wrong, in each order, with one probability."""
    generator = np.random.default_rng(seed)
    better = generator.random((draws, pairs, 1)) < q
    wrong = generator.random((draws, pairs, 2)) < error
    return list((better ^ wrong).mean(axis=2))


@pytest.mark.parametrize(("q", "loss"), [(0.65, "apo_zero"), (0.35, "apo_down")])
def test_a_fallible_judge_finds_the_loss(q: float, loss: str) -> None:
    # Errors of 20 % bring q to 0.59 or 0.41; 400 pairs then have a power of about 0.99.
    found = [outcome(judged(wins)) for wins in planted(q, 0.2, 400, draws=20, seed=1)]
    other = {"apo_zero": "apo_down", "apo_down": "apo_zero"}[loss]
    assert found.count(loss) >= 18
    assert other not in found


@pytest.mark.slow
def test_without_a_difference_a_loss_is_chosen_in_one_of_twenty() -> None:
    draws = 400
    found = [outcome(judged(wins)) for wins in planted(0.5, 0.2, 60, draws=draws, seed=2)]
    # 5 % +- 3 standard errors; each side 2.5 %
    assert 0.017 * draws <= draws - found.count("open") <= 0.083 * draws
    assert max(found.count("apo_zero"), found.count("apo_down")) <= 0.05 * draws


def test_pairs_of_one_prompt_are_taken_together() -> None:
    """Ten pairs a prompt that say the same are no more than one."""
    wins = [1.0] * 60 + [0.0] * 40
    alone, together = (
        judged(wins),
        [pair(at, win, prompt=f"question {at // 10}") for at, win in enumerate(wins)],
    )
    assert outcome(alone) == "apo_zero"
    assert outcome(together) == "open"


def test_an_open_question_says_what_would_close_it() -> None:
    with pytest.raises(EvidenceError) as raised:
        choice(judged([1.0] * 55 + [0.0] * 45))
    text = str(raised.value)
    assert raised.value.exit_code == 8
    assert "q = 0.550 [0.4" in text
    # (1.96 + 0.84)^2 * 0.2475 / 0.05^2 = 777 pairs, 100 of them at hand
    assert "About 677 more judged pairs would tell" in text
    assert "clairkit sweep" in text


def test_a_judge_that_always_says_first_decides_nothing() -> None:
    biased = [
        pair(at, 0.5, scores={"judge_win": 0.5, "judge_consistent": False, "judge": "j"})
        for at in range(50)
    ]
    message = r"q = 0\.500 \[no interval\].* both orders 0%.*of this kind would not tell"
    with pytest.raises(EvidenceError, match=message):
        choice(biased)


def unread(at: int, win: float | None) -> Pair:
    return pair(at, 1.0, scores={"judge_win": win, "judge_consistent": None, "judge": "j"})


def test_replies_that_can_not_be_read_count_against_the_choice() -> None:
    wins = [1.0] * 62 + [0.0] * 38  # 0.62 [0.52, 0.71]
    clear = choice(judged(wins)).facts
    few = [*judged(wins), unread(100, None), unread(101, 1.0)]
    found = choice(few).facts
    assert found["q"] == pytest.approx(63 / 101)  # of what can be read
    assert found["low"] < clear["low"] < clear["high"] < found["high"]
    assert found["unread"] == pytest.approx(1.5 / 102)
    barely = [1.0] * 60 + [0.0] * 40
    assert outcome(judged(barely)) == "apo_zero"
    assert outcome([*judged(barely), *(unread(100 + at, None) for at in range(4))]) == "open"
    with pytest.raises(EvidenceError, match="can't be read"):
        choice([*judged([1.0] * 90), *(unread(90 + at, None) for at in range(10))])


def test_q_is_of_pairs_that_tell_the_targets_own_answer() -> None:
    own = judged([1.0] * 20)
    others = [pair(20 + at, 0.0, source="judge_on_policy") for at in range(30)]
    worsened = [pair(50 + at, 1.0, provenance={"worsen": True}) for at in range(5)]
    found = choice([*own, *others, *worsened, pair(60)]).facts
    assert (found["n"], found["q"]) == (25, pytest.approx((20 + 5 * 0.5) / 25))
    with pytest.raises(DataError, match=r"30 judge_on_policy.*--loss apo_down"):
        choice(others)


def test_pairs_without_verdicts_are_told_the_command() -> None:
    command = r"clairkit score 'some pairs\.jsonl' --judge openai:MODEL -o 'some pairs\.judged"
    with pytest.raises(DataError, match=command):
        choice([pair(0)])


def votes(path: Path, labels: Iterable[str], **more: Any) -> str:
    names = ["chosen", "rejected"]
    rows = [{"id": f"p{at}", "label": said, "names": names} for at, said in enumerate(labels)]
    path.write_text("".join(json.dumps({**row, **more}) + "\n" for row in rows))
    return str(path)


def test_votes_of_people_decide_as_well(tmp_path: Path) -> None:
    file = votes(tmp_path / "votes.jsonl", ["b"] * 40 + ["a"] * 10 + ["tie"] * 4)
    found = choice([pair(at, 1.0) for at in range(60)], votes=file)
    assert found.loss == "apo_down"
    assert (found.facts["n"], found.facts["file"]) == (54, "votes.jsonl")
    assert found.facts["by"] == "votes of votes.jsonl"
    wrong = votes(tmp_path / "other.jsonl", ["a"], names=["new", "old"])
    with pytest.raises(DataError, match=r"other\.jsonl:1: .*no vote on which side"):
        choice([pair(0)], votes=wrong)


def test_a_trainer_decides_and_writes_why(llama: Any, tokenizer: Any, tmp_path: Path) -> None:
    arguments = {"max_steps": 1, "use_cpu": True, "save_strategy": "no"}
    given = TrainConfig("m", "p", str(tmp_path / "run"), loss="auto", arguments=arguments)
    trainer = PreferenceTrainer(llama, tokenizer, given, judged([0.0] * 12))
    trainer.train()
    trainer.save_model()
    assert trainer.config.loss == "apo_down"
    text = (tmp_path / "run" / files.CONFIG).read_text()
    assert "loss: apo_down  # auto: q = 0.000 [0.000, 0." in text
    facts = json.loads((tmp_path / "run" / files.RUN).read_text())
    assert facts["loss_choice"]["loss"] == "apo_down"
    assert facts["loss_choice"]["by"] == "judge j"
    assert "apo_down: chosen answers are worse" in (tmp_path / "run" / files.CARD).read_text()
    with pytest.raises(UsageError, match="encoded pairs hold none"):
        PreferenceTrainer(llama, tokenizer, given, trainer.train_dataset.pairs)


def test_an_open_loss_costs_what_apo_zero_does() -> None:
    assert config().mix == parse_loss("apo_zero")
    assert TrainConfig(model="m", pairs="p", output="o", loss=" Auto ").loss == "auto"
    with pytest.raises(ClairError, match="does not read the option"):
        config(label_smoothing=0.1)
