"""What a new user gets wrong: one message that names the thing, what came, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from newcomer_mistakes import MISTAKES, Mistake

from clairkit.cli.main import run

CHECK = "def right(prompt, answer, row): return True\ndef answer(request): return '42'\n"


def words(mistake: Mistake, places: dict[str, str]) -> list[str]:
    made = mistake.command
    for word, place in places.items():
        made = made.replace(word, place)
    return made.split()


@pytest.fixture
def places(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mistake], dict[str, str]]:
    """Returns a maker of the mistake's files; paths by the word that stands for them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CHECK)
    (tmp_path / "script.py").write_text(f"{CHECK}raise SystemExit(0)\n")
    (tmp_path / "template.txt").write_bytes("次の回答を直してください。\n".encode("cp932"))

    def make(mistake: Mistake) -> dict[str, str]:
        content = mistake.content
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / mistake.name).write_bytes(data)
        return {
            "FILE": mistake.name,
            "MODELL": f"{model_folder}l",
            "MODEL": str(model_folder),
            "OUT": "out",
            "TEMPLATE": "template.txt",
        }

    return make


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_one_message_names_the_thing_and_what_to_do(
    mistake: Mistake,
    places: Callable[[Mistake], dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    for module in ("mine", "script"):
        sys.modules.pop(module, None)
    code = run(words(mistake, places(mistake)))
    captured = capsys.readouterr()
    assert code == mistake.code, captured.err
    assert captured.out == ""
    assert sum(line.startswith("Error: ") for line in captured.err.split("\n")) == 1, captured.err
    assert "This is a bug" not in captured.err
    for said in mistake.said:
        assert said.lower() in captured.err.lower()
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.jsonl").exists()


def test_there_are_forty_of_them_ten_in_japanese() -> None:
    contents = [each.content for each in MISTAKES.values()]
    japanese = [text for text in contents if not str(text).isascii() or isinstance(text, bytes)]
    assert len(MISTAKES) >= 40
    assert len(japanese) >= 10
