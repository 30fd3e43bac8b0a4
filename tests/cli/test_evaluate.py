"""`clairkit evaluate` on a tiny random model: table, file, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run
from clairkit.evaluation import wilson
from clairkit.intervals import mean_interval
from clairkit.records import PromptRow, read_prompts
from clairkit.records.leakage import prompt_digest, write_trained_prompts

CHECKS = """
def always(prompt, answer, row): return True
def never(prompt, answer, row): return False
def thirds(prompt, answer, row): return int(row["id"][1:]) % 3 / 3
def half(prompt, answer, row): return 0.5
def by_row(prompt, answer, row): return row["good"]
def fails(prompt, answer, row): raise ValueError("[/foo] \\x1b[31m oops")
calls = []
def only_second(prompt, answer, row):  # wrong for the first model asked, right for the second
    calls.append(row["id"])
    return calls.count(row["id"]) > 1
def only_first(prompt, answer, row):
    calls.append(row["id"])
    return calls.count(row["id"]) == 1
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({unit: at for at, unit in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=257, num_attention_heads=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return f"hf:{folder}"


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import sys

    (tmp_path / "checks_3d.py").write_text(CHECKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "checks_3d", raising=False)
    rows = [{"id": f"r{at}", "prompt": f"say {at}", "good": at % 4 > 0} for at in range(12)]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def arguments(prompts: str, model: str, check: str, *more: str) -> list[str]:
    short = ["--max-new-tokens", "4", *more]
    return ["evaluate", prompts, "--model", model, "--check", f"python:checks_3d:{check}", *short]


def test_the_table_shows_the_share_with_its_interval(
    prompts: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(prompts, model, "by_row")) == 0
    out = capsys.readouterr().out
    interval = wilson(9, 12)
    line = next(line for line in out.splitlines() if line.startswith("model"))
    assert "9/12" in line
    assert f"{100 * interval.low:.1f} %" in line
    assert f"{100 * interval.high:.1f} %" in line
    assert "9 of 12 answers are right: 75.0 %" in out
    assert "baseline" not in out


def test_answers_are_written_and_can_be_read_again(
    prompts: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--baseline", model, "-o", "answers.jsonl", "--seed", "5", "--json"]
    assert run(arguments(prompts, model, "by_row", *more)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["successes"] == found["baseline"]["successes"] == 9
    assert (found["difference"]["estimate"], found["difference"]["verdict"]) == (0, "undecided")
    assert found["difference"]["low"] < 0 < found["difference"]["high"]
    assert found["sampling"]["seed"] == 5
    rows = list(read_prompts("answers.jsonl"))
    assert [row.id for row in rows] == sorted(f"r{at}" for at in range(12))
    for row in rows:
        assert row.answer is not None
        assert row.extra["right"] == row.extra["good"]
        assert row.extra["model"] == model
        # The same model, seed and row: the same answer.
        assert row.extra["baseline"]["answer"] == row.answer
    first = Path("answers.jsonl").read_bytes()
    assert run(arguments(prompts, model, "by_row", *more)) == 2
    assert run(arguments(prompts, model, "by_row", *more, "--force")) == 0
    assert Path("answers.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    ("trained", "title", "warned"),
    [
        (None, "on 12 prompts", False),
        ([], "on 12 held-out prompts", False),
        ([1, 5, 99], "on 12 prompts", True),
    ],
)
def test_prompts_that_were_trained_on_are_not_held_out(
    prompts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    trained: list[int] | None,
    title: str,
    warned: bool,
) -> None:
    import shutil

    folder = tmp_path / "run" / "checkpoint-2"
    shutil.copytree(model.removeprefix("hf:"), folder)
    if trained is not None:
        seen = [PromptRow(({"role": "user", "content": f"say {at}"},)) for at in trained]
        write_trained_prompts(folder.parent, map(prompt_digest, seen))
    given = arguments(prompts, f"hf:{folder}", "always", "--baseline", model)
    assert run(given) == 0
    captured = capsys.readouterr()
    assert title in captured.out
    assert (f"hf:{folder} was trained on 2 of these 12 prompts" in captured.err) == warned
    assert run([*given, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["trained_on"] == (None if trained is None else 2 * warned)
    assert found["baseline"]["trained_on"] is None


def test_scores_have_an_interval(
    prompts: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--baseline", model]
    assert run(arguments(prompts, model, "thirds", *more)) == 0
    out = capsys.readouterr().out
    assert "The mean score is 0.333, and between 0.1" in out
    assert "Against the baseline: +0.000 (+0.000 to +0.000)." in out
    assert run(arguments(prompts, model, "thirds", *more, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["model"]["mean_score_low"], found["model"]["mean_score_high"]
    expected = mean_interval([(at % 3) / 3 for at in range(12)])
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.06)
    assert found["score_difference"] == {"estimate": 0, "low": 0, "high": 0}
    assert run(arguments(prompts, model, "by_row")) == 0
    assert "mean score is" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--baseline", "--check"])
def test_a_second_value_is_refused(
    prompts: str, model: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(prompts, model, "always", option, "python:json:dumps")
    assert run([*given, option, "python:json:loads"]) == 2
    assert f"'{option}': takes one value" in capsys.readouterr().err


def test_models_without_names_are_refused(
    prompts: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(prompts, model, "always", "--model", "python:json:loads")) == 2
    assert "two models have the name model" in capsys.readouterr().err


def test_cut_answers_are_told(prompts: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(prompts, model, "always", "--limit", "3", "--quiet")) == 0
    captured = capsys.readouterr()
    assert "3/3" in captured.out
    assert "answers of the model were cut at 4 tokens" in captured.err
    assert "Asking" not in captured.err


@pytest.mark.parametrize(
    ("check", "code", "said"),
    [
        ("only_second", 0, "That is a gain beyond chance."),
        ("only_first", 7, "worse than the baseline"),
        ("always", 8, "these prompts do not tell the two models apart"),
    ],
)
def test_require_gain(
    prompts: str, model: str, check: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--baseline", model, "--require-gain", "-o", "answers.jsonl"]
    assert run(arguments(prompts, model, check, *more)) == code
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert Path("answers.jsonl").exists()  # what was measured is kept whatever the verdict
    assert run(arguments(prompts, model, check, *more[:2])) == 0


def test_a_function_is_measured_and_its_failures_shown(
    prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("checks_3d.py").open("a") as file:
        file.write("def target(request): return 'yes' if request.row['good'] else 1 / 0\n")
    assert run(arguments(prompts, "python:checks_3d:target", "always", "--json")) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)["model"]
    assert (found["successes"], found["failures"]) == (9, {"function_error": 3})
    assert "no answer of the model, counted as wrong: function_error 3" in captured.err


def test_a_wrong_model_is_told_before_the_baseline_is_asked(
    prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("checks_3d.py").open("a") as file:
        file.write("def target(request): open('asked', 'w').close()\n")
    assert run(arguments(prompts, "gpt", "always", "--baseline", "python:checks_3d:target")) == 2
    assert "hf:ID_OR_PATH" in capsys.readouterr().err
    assert not Path("asked").exists()


def test_pass_mark(prompts: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--limit", "2", "--json", "--quiet", "--pass-at"]
    assert run(arguments(prompts, model, "half", *more, "1")) == 0
    assert json.loads(capsys.readouterr().out)["model"]["successes"] == 0
    assert run(arguments(prompts, model, "half", *more, "0.5")) == 0
    found = json.loads(capsys.readouterr().out)["model"]
    assert (found["successes"], found["mean_score"]) == (2, 0.5)


@pytest.mark.parametrize(
    ("check", "more", "code", "message"),
    [
        ("no_such", [], 2, "no_such"),
        ("fails", [], 2, "the check failed on row r0 (ValueError: [/foo] \\x1b[31m oops)"),
        ("always", ["--require-gain"], 2, "Give --baseline"),
        ("always", ["--temperature", "-1"], 2, "temperature"),
        ("always", ["--limit", "0"], 2, "limit"),
        ("always", ["--baseline", "gpt"], 2, "hf:ID_OR_PATH"),
        ("always", ["--baseline", "hf:no/such/folder"], 2, "there is no such folder"),
        ("always", ["--batch-size", "0"], 2, "batch_size"),
        ("always", ["-o", "../out.jsonl"], 2, "leads out of the current directory"),
    ],
)
def test_what_is_refused(
    prompts: str,
    model: str,
    check: str,
    more: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(arguments(prompts, model, check, *more)) == code
    assert message in capsys.readouterr().err
