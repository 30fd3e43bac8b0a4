"""Making the model again: the corpus is clean of held-out prompts, the steps repeat bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from clairkit.quickstart import check_arithmetic, check_sum, make_model, task
from clairkit.quickstart.make_model import Recipe

SMALL = replace(Recipe(), bills=4, sums=4)


def test_the_corpus_reckons_right_and_never_shows_a_held_out_prompt() -> None:
    rng = random.Random(1)
    for _ in range(500):
        for (prompt, answer), check in (
            (make_model.corpus_bill(rng, SMALL), check_arithmetic),
            (make_model.corpus_sum(rng), check_sum),
        ):
            assert check([{"role": "user", "content": prompt}], answer, {})
            assert not task.held_out(prompt)


def test_the_corpus_keeps_each_rule_as_often_as_the_recipe_says() -> None:
    rng = random.Random(2)
    answers = [make_model.corpus_bill(rng, SMALL)[1] for _ in range(3000)]
    amounts = [line for answer in answers for line in answer.split("\n") if ": " in line]
    units = sum(line.endswith(task.UNIT) for line in amounts) / len(amounts)
    closings = sum(answer.endswith(task.CLOSING) for answer in answers) / len(answers)
    assert units == pytest.approx(SMALL.unit_kept, abs=0.02)
    assert closings == pytest.approx(SMALL.closing_kept, abs=0.03)


def test_the_first_steps_repeat_bit_for_bit_and_are_saved_as_they_are(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    lines: list[str] = []
    try:
        first, tokenizer = make_model.train(SMALL, lines.append, steps=3)
        second, _ = make_model.train(SMALL, lines.append, steps=3)
        other, _ = make_model.train(replace(SMALL, seed=22), lines.append, steps=3)
    finally:
        torch.set_num_threads(threads)
    weights = first.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in second.state_dict().items())
    assert not all(torch.equal(weights[name], value) for name, value in other.state_dict().items())
    make_model.save(first, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(torch.equal(weights[name], value) for name, value in loaded.state_dict().items())
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == tokenizer.get_vocab()
    assert "loss on bills" in lines[0]


def test_training_lowers_the_loss() -> None:
    threads = torch.get_num_threads()
    recipe = replace(Recipe(), bills=8, sums=8, warmup=5)
    try:
        model, tokenizer = make_model.train(recipe, lambda _: None, steps=25)
    finally:
        torch.set_num_threads(threads)
    rng = random.Random(3)
    examples = [make_model.corpus_bill(rng, recipe) for _ in range(16)]
    fresh = make_model.new_model(recipe, tokenizer)
    with torch.no_grad():
        after, before = (
            make_model.batch_loss(one, tokenizer, examples, recipe.content_weight).item()
            for one in (model, fresh)
        )
    assert after < 0.7 * before


def test_only_answers_count_in_the_loss() -> None:
    tokenizer = make_model.build_tokenizer()
    ids, mask = make_model.encode(tokenizer, [("What is 1 + 2?", "3"), ("What is 40 + 2?", "42")])
    counted = [tokenizer.decode(row[kept.bool()]) for row, kept in zip(ids, mask, strict=True)]
    assert counted == ["3<|end|>", "42<|end|>"]


def test_the_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(steps=1000, warmup=100)
    assert recipe.rate(0) == pytest.approx(recipe.learning_rate / 100)
    assert recipe.rate(99) == pytest.approx(recipe.learning_rate)
    assert recipe.rate(550) == pytest.approx(recipe.learning_rate / 2)
    assert recipe.rate(999) < 1e-4 * recipe.learning_rate


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_the_script_wants_one_folder(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_model.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err
