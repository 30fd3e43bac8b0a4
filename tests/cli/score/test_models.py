"""`clairkit score --target`: the table, JSON and file of what models make of pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import make_llama, make_tokenizer

from clairkit.cli.main import run
from clairkit.records import read_pairs

SIDES = [
    ("The quick fox", "The slow fox"),
    ("same", "same"),
    ("東京です。", "京都です。"),
    ("ab", "cd"),
]


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for at, (chosen, rejected) in enumerate(SIDES):
            row = {"id": f"row{at}", "prompt": "p", "chosen": chosen, "rejected": rejected}
            file.write(json.dumps(row) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("reference")
    make_llama(seed=1).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def test_columns_table_and_json_agree(
    pairs: str,
    model_folder: Path,
    reference: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.jsonl"
    arguments = ["score", pairs, "--target", f"hf:{model_folder}", "--reference", reference]
    assert run([*arguments, "-o", str(output), "--json"]) == 0
    captured = capsys.readouterr()
    written = {pair.id: pair.scores for pair in read_pairs(output)}
    assert "logp_chosen" not in written["row1"]
    assert written["row1"]["flags"] == ["identical"]
    margins = [written[name]["gain_margin"] for name in ("row0", "row2", "row3")]
    models = json.loads(captured.out)["models"]
    assert models["metrics"]["gain_margin"]["mean"] == pytest.approx(sum(margins) / 3)
    assert (models["metrics"]["logp_chosen"]["n"], models["left_out"]) == (3, {"identical": 1})
    assert "Not read by the model: 1 with identical sides\n" in captured.err
    (line,) = [each for each in captured.err.splitlines() if each.startswith("gain, chosen")]
    assert line.split()[4:6] == ["3", f"{sum(margins) / 3:z.3f}"]
    assert written["row0"]["logps_target"] == str(model_folder)
    # The same bytes again, from the cache.
    again = tmp_path / "again.jsonl"
    assert run([*arguments, "-o", str(again), "--quiet"]) == 0
    assert again.read_bytes() == output.read_bytes()
    assert capsys.readouterr().err == ""
    # They stay when the pairs are scored again without models, and --show has them.
    assert run(["score", str(output), "-o", str(again), "--force"]) == 0
    assert {pair.id: pair.scores for pair in read_pairs(again)} == written
    capsys.readouterr()
    assert run(["score", str(output), "--show", "row0"]) == 0
    assert "\ngain_edits_chosen: " in capsys.readouterr().out


def test_settings_of_a_run_apply(
    pairs: str, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["score", pairs, "--target", str(model_folder), "--set", "max_length=22"]
    assert run(arguments) == 0
    assert "Not read by the model: 1 longer than max_length 22\n" in capsys.readouterr().out


def test_rewards(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], model_folder: Path
) -> None:
    from transformers import LlamaForSequenceClassification

    config = make_llama().config
    config.num_labels = 1
    folder, output = tmp_path / "reward", tmp_path / "out.jsonl"
    LlamaForSequenceClassification(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    arguments = ["score", pairs, "--reward", str(folder), "--target", str(model_folder)]
    assert run([*arguments, "-o", str(output), "--json"]) == 0
    captured = capsys.readouterr()
    rewards = json.loads(captured.out)["rewards"]
    margins = [pair.scores.get("reward_margin") for pair in read_pairs(output)]
    assert margins.pop(1) is None
    higher = sum(margin > 0 for margin in margins)
    assert rewards["chosen_higher"] == higher
    assert f"Chosen has the higher reward in {higher} of 3 pairs." in captured.err
    assert rewards["metrics"]["reward_margin"]["mean"] == pytest.approx(sum(margins) / 3)
    assert all("logp_chosen" in pair.scores for pair in read_pairs(output) if pair.id != "row1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reward", "m", "--reference", "m"], "--reference is for models that read the pairs"),
        (["--reference", "m"], "--reference is for models that read the pairs"),
        (["--set", "dtype=bfloat16"], "--set is for models that read the pairs"),
        (["--target", "/no/such/model"], "there is no such folder: received '/no/such/model'"),
        (["--target", "m", "--set", "max_lenght=3"], "did you mean max_length"),
        (["--target", "m", "--compare", "b.jsonl"], "--compare runs no model"),
    ],
)
def test_arguments(
    pairs: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", pairs, *arguments]) == 2
    assert message in capsys.readouterr().err.replace("Did", "did")


def test_each_reason_why_a_model_does_not_read_a_pair_has_its_words() -> None:
    from clairkit.cli.score import models
    from clairkit.evaluation.pairs import pair_logps

    assert set(models._REASONS) == set(pair_logps._LEFT_OUT)
