"""The dataset card: for people and for the Hub, whatever the names in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from outputs import build, prompt

from clairkit.generation.revision.settings import ReviseSettings
from clairkit.journal.dataset_card import card_path, card_text
from clairkit.journal.manifest import read_manifest


def keeps_odd(text: str) -> str:
    return text if text[-1] in "13579" else text.upper()


ROWS = [prompt(n) for n in range(3)]


def test_a_card_says_what_the_pairs_are(tmp_path: Path) -> None:
    output = build(tmp_path / "pairs.jsonl", ROWS, revise=keeps_odd)
    text = card_path(output).read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert "language" not in header  # that of the answers is not known
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"] == [{"config_name": "default", "data_files": "pairs.jsonl"}]
    assert "2 preference pairs" in text
    assert "| reviser.kind | test |" in text
    assert "| gates | no\\_op=drop, refusal=keep, " in text
    assert "| no\\_op: the revision does not differ from the answer | 1 |" in text
    assert "| prompt tokens | 60 |" in text
    head = read_manifest(output)[-1]["hash"]
    assert f"clairkit verify pairs.jsonl --head {head[:16]}" in text


@pytest.mark.parametrize(("worsen", "side"), [(True, "chosen"), (False, "rejected")])
def test_the_side_that_is_the_answer_is_named(tmp_path: Path, worsen: bool, side: str) -> None:
    output = build(tmp_path / "pairs.jsonl", ROWS, asked=ReviseSettings(worsen=worsen))
    assert f"`{side}` is the target model's own answer" in card_path(output).read_text()


def test_in_a_folder_it_is_the_readme_that_the_hub_shows(tmp_path: Path) -> None:
    import datasets

    output = build(tmp_path / "pairs", ROWS, revise=keeps_odd)
    text = (output / "README.md").read_text()
    (files,) = yaml.safe_load(text.split("---\n")[1])["configs"]
    data = datasets.load_dataset(
        "arrow",
        data_files=str(output / files["data_files"]),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert data["id"] == datasets.load_from_disk(str(output))["id"]
    before = (output / "README.md").read_bytes()
    build(output, ROWS, revise=keeps_odd)  # the folder is made anew, and its card with it
    assert (output / "README.md").read_bytes() == before


HOSTILE = "a|b`c` <script>x</script> [l](http://e) \x1b[31m \u202e # h\n---\nlicense: mit"


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    output = build(tmp_path / "a]: &b.jsonl", ROWS, version=HOSTILE)
    text = card_path(output).read_text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script" not in text.replace("\\<script", "")
    (line,) = [line for line in text.splitlines() if line.startswith("| reviser.version")]
    assert line.replace("\\|", "").count("|") == 3
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["pretty_name"] == "a]: &b.jsonl"
    assert "license" not in header


@pytest.mark.parametrize(
    ("pairs", "size"),
    [(999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "n>1M")],
)
def test_size_categories_are_the_hubs(pairs: int, size: str) -> None:
    entry = {"hash": "0" * 64, "clairkit": "1", "pairs": pairs}
    header = yaml.safe_load(card_text(Path("pairs.jsonl"), [entry]).split("---\n")[1])
    assert header["size_categories"] == [size]


def test_a_lost_card_is_written_again(tmp_path: Path) -> None:
    output = build(tmp_path / "pairs.jsonl", ROWS)
    before = card_path(output).read_bytes()
    card_path(output).unlink()
    build(output, ROWS)
    assert card_path(output).read_bytes() == before
