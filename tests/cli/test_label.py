"""`clairkit label`: export, the votes that come back, status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eval_folders import write_evaluation
from label_cases import row, toward, write_votes

from clairkit.cli.main import run
from clairkit.labels import Key, read_key

ROWS = [
    {
        "id": f"p{at:02}",
        "prompt": f"Question {at}?",
        "answer": f"new {at}",
        "model": "hf:run",
        "baseline": {"answer": f"old {at}" if at else "", "model": "hf:base/one"},
    }
    for at in range(31)
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("answers.jsonl", ROWS)
    return tmp_path


def write(name: str, rows: list[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return name


def export(*more: str) -> Key:
    arguments = ["label", "export", "answers.jsonl", "-o", "label.html", "--quiet", *more]
    assert run(arguments) == 0
    return read_key("label.key.json")


def vote(key: Key, rater: str, side: str = "a", **more: Any) -> str:
    rows = [row(key, shown, toward(shown, side), **more) for shown in key.raters[rater]]
    return str(write_votes(Path(f"votes-{rater}.json"), key, rows, rater))


def test_from_answers_to_votes(capsys: pytest.CaptureFixture[str]) -> None:
    key = export("--raters", "A, 山田", "--n", "20", "--language", "ja", "--json")
    made = json.loads(capsys.readouterr().out)
    assert made["pages"] == {"A": "label-A.html", "山田": "label-山田.html"}
    assert (made["key"], made["key_sha256"]) == ("label.key.json", key.digest)
    assert (made["sample"]["population"], made["sample"]["drawn"]) == (30, 20)
    assert made["sample"]["left_out"]["no_answer"] == ["p00"]
    assert '<html lang="ja">' in Path("label-山田.html").read_text(encoding="utf-8")
    files = [vote(key, "A"), vote(key, "山田", "b")]
    arguments = [*files, "--key", "label.key.json"]
    assert run(["label", "import", *arguments, "-o", "votes.jsonl", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["votes"] == 40
    assert [rater["flags"] for rater in result["raters"]] == [[], []]
    rows = [json.loads(line) for line in Path("votes.jsonl").read_text().splitlines()]
    assert {each["names"][0] for each in rows} == {"hf:run"}
    assert {(each["rater"], each["label"]) for each in rows} == {("A", "a"), ("山田", "b")}
    assert run(["label", "status", *arguments, "--json"]) == 0
    standing = json.loads(capsys.readouterr().out)
    assert standing["items_in_common"] == 20
    assert standing["krippendorff_alpha"] == pytest.approx(-0.95)
    assert standing["standing"]["names"] == ["hf:run", "hf:base/one"]


def test_status_says_when_it_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    key = export()
    capsys.readouterr()
    assert run(["label", "status", vote(key, "rater"), "--key", "label.key.json"]) == 0
    out = capsys.readouterr().out
    assert "Votes on 30 of 30 items" in out
    assert "A: hf:run; B: hf:base/one" in out
    assert "hf:run 30, hf:base/one 0, undecided 0: hf:run in 100 % [89, 100]" in out
    assert "Enough, you may stop: people prefer hf:run (E >= 20)." in out


def test_revisions_are_accepted_in_the_form_of_calibrate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = [
        {"prompt": f"Why {at}?", "chosen": f"revised {at}", "rejected": f"answer {at}"}
        for at in range(24)
    ]
    source = write("pairs.jsonl", pairs)
    more = ["--question", "accept", "--ask", "Ok?"]
    assert run(["label", "export", source, "-o", "p.html", *more]) == 0
    key = read_key("p.key.json")
    assert "Ok?" in Path("p.html").read_text(encoding="utf-8")
    words = ["accept", "reject", "skip"]
    rows = [row(key, shown, words[shown.item % 3]) for shown in key.raters["rater"]]
    votes = str(write_votes(Path("votes.json"), key, rows))
    arguments = [votes, "--key", "p.key.json"]
    assert run(["label", "import", *arguments, "-o", "v.jsonl", "--labels", "l.jsonl"]) == 0
    labels = [json.loads(line) for line in Path("l.jsonl").read_text().splitlines()]
    assert len(labels) == 16
    for each in labels:
        assert each["revision"].startswith("revised")
        assert each["answer"].startswith("answer")
        assert each["label"] in ("accept", "reject")
    assert run(["label", "status", *arguments]) == 0
    assert "Accepted: 8 of 16 items, 50 % [28, 72]; calibrate needs 20." in capsys.readouterr().out


def test_a_table_for_spreadsheets_holds_no_formula() -> None:
    write("answers.jsonl", [{"id": "=1+1", "prompt": "@x", "a": "+49 30", "b": "-1"}])
    key = export()
    votes = vote(key, "rater", note="=cmd|' /C calc'!A0")
    assert run(["label", "import", votes, "--key", "label.key.json", "-o", "votes.csv"]) == 0
    content = Path("votes.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfid,prompt,a_name,b_name,a,b,")
    assert content.split(b"\r\n")[1].startswith(b"'=1+1,'@x,a,b,'+49 30,'-1,")
    assert b",'=cmd|" in content


def test_labels_leave_out_ties(capsys: pytest.CaptureFixture[str]) -> None:
    key = export()
    rows = [
        row(key, shown, "bad" if at % 2 else "left") for at, shown in enumerate(key.raters["rater"])
    ]
    votes = str(write_votes(Path("votes.json"), key, rows))
    arguments = ["label", "import", votes, "--key", "label.key.json", "-o", "v.jsonl"]
    assert run([*arguments, "--labels", "l.jsonl"]) == 0
    assert len(Path("v.jsonl").read_text().splitlines()) == 30
    labels = [json.loads(line) for line in Path("l.jsonl").read_text().splitlines()]
    assert {each["label"] for each in labels} == {"a", "b"}
    assert run(arguments) == 2  # it exists
    assert run([*arguments, "--force"]) == 0


def test_flags_and_edits_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    key = export()
    votes = vote(key, "rater", ms=300)
    text = Path(votes).read_text(encoding="utf-8")
    Path(votes).write_text(text.replace('"ms": 300', '"ms": 400', 1), encoding="utf-8")
    arguments = ["label", "import", votes, "--key", "label.key.json", "-o", "v.jsonl"]
    assert run(arguments) == 3
    assert "1 votes are not as the page wrote them" in capsys.readouterr().err
    assert not Path("v.jsonl").exists()
    assert run([*arguments, "--accept-edits"]) == 0
    err = capsys.readouterr().err
    assert "rater is below the limits" in err
    assert "too_fast" in err
    assert "1 votes are not as the page wrote them" in err


def test_a_new_export_does_not_silently_void_votes(capsys: pytest.CaptureFixture[str]) -> None:
    key = export()
    votes = vote(key, "rater")
    assert run(["label", "export", "answers.jsonl", "-o", "label.html"]) == 2
    export("--force")
    assert run(["label", "status", votes, "--key", "label.key.json"]) == 3
    assert "pages of another key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--n", "31"], 3, "31 items cannot be drawn of 30"),
        (["--raters", "A,A"], 2, "a name of their own"),
        (["--raters", "a b,a-b,a/b"], 2, "the same file name"),
        (["--language", "fr"], 2, "there is no such language: received 'fr'"),
        (["--question", "best"], 2, "no such question"),
        (["--repeats", "0.9"], 2, "share of repeats"),
        (["--gold", "answers.jsonl"], 3, "bad_label"),
        (["--key", "label.html"], 2, "two outputs have the same name"),
    ],
)
def test_wrong_exports(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["label", "export", "answers.jsonl", "-o", "label.html", *arguments]) == code
    assert said in capsys.readouterr().err
    assert not Path("label.html").exists()


def test_gold_is_read_as_calibrate_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    gold = [{"prompt": f"Gold {at}?", "a": "right", "b": "wrong", "label": "a"} for at in range(3)]
    key = export("--gold", write("gold.jsonl", gold))
    assert [each.item for each in key.raters["rater"] if each.kind == "gold"]
    votes = vote(key, "rater", "b")
    capsys.readouterr()
    assert run(["label", "status", votes, "--key", "label.key.json"]) == 0
    assert " 0/3 " in capsys.readouterr().out
    accepted = [{"prompt": "p", "answer": "x", "revision": "y", "label": "accept"}]
    write("gold.jsonl", accepted)
    arguments = ["label", "export", "answers.jsonl", "-o", "other.html", "--gold", "gold.jsonl"]
    assert run(arguments) == 3
    assert "bad_gold" in capsys.readouterr().err


def test_answers_of_one_model_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write("answers.jsonl", [{"prompt": "p", "answer": "x", "model": "hf:run"}])
    assert run(["label", "export", "answers.jsonl", "-o", "label.html"]) == 3
    assert "with --baseline" in capsys.readouterr().err


def test_the_folder_of_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {"new": [f"new {at}" for at in range(12)], "old": [f"old {at}" for at in range(12)]}
    write_evaluation(tmp_path / "EVAL", answers)
    arguments = ["label", "export", "EVAL", "-o", "eval.html"]
    assert run([*arguments, "--n", "10"]) == 0
    key = read_key("eval.key.json")
    assert key.names == ("new", "old")
    assert key.sample["population"] == 12
    assert run([*arguments, "--force", "--models", "old,new"]) == 0
    assert read_key("eval.key.json").names == ("old", "new")
    capsys.readouterr()
    assert run([*arguments, "--force", "--question", "accept"]) == 2
    assert "an evaluation holds answers, and no revisions" in capsys.readouterr().err
    assert run(["label", "export", "answers.jsonl", "-o", "x.html", "--models", "a,b"]) == 2
    assert "--models is for the folder of an evaluation" in capsys.readouterr().err


def test_a_vote_says_how_far_its_rater_can_be_relied_on() -> None:
    key = export("--n", "20")
    assert (
        run(["label", "import", vote(key, "rater"), "--key", "label.key.json", "-o", "v.csv"]) == 0
    )
    assert (
        run(["label", "import", vote(key, "rater"), "--key", "label.key.json", "-o", "v.jsonl"])
        == 0
    )
    row = json.loads(Path("v.jsonl").read_text().splitlines()[0])
    assert row["rater_checks"] == {"repeats": [1, 1], "identical": [0, 1], "gold": [0, 0]}
    assert "rater_checks" not in Path("v.csv").read_text(encoding="utf-8-sig")
