# ruff: noqa: RUF001 - full-width punctuation is meant
"""The mistakes of `tests/cli/test_newcomer_mistakes.py`: files, commands, and what must be said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Content = str | bytes | list[dict[str, Any]]
PAIR = {"prompt": "1 + 1?", "chosen": "2.", "rejected": "3."}
JAPANESE = {"prompt": "日本の首都はどこですか", "chosen": "東京です", "rejected": "京都です"}


@dataclass(frozen=True)
class Mistake:
    """A file and a command as a newcomer writes them, and what must be said.

    Attributes:
        command: the words behind `clairkit`; FILE, MODEL and OUT stand for paths.
        code: the exit code.
        said: what the message must hold, each of them.
        content: of the file: rows, a text, or bytes.
        name: of the file.
    """

    command: str
    code: int
    said: tuple[str, ...]
    content: Content = ""
    name: str = "data.jsonl"


SCORE = "score FILE"
TRAIN = "train --model MODEL --pairs FILE -o OUT"
BUILD = "build-pairs FILE -o OUT.jsonl --reviser python:mine:answer"
EVALUATE = "evaluate FILE --model python:mine:answer --check python:mine:right"


def csv(text: str, codec: str) -> bytes:
    return f"prompt,chosen,rejected\r\n{text}\r\n".encode(codec)


def jsonl(row: dict[str, Any], codec: str) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode(codec)


MISTAKES = {
    # Japanese files
    "Excel's CSV in CP932": Mistake(
        SCORE,
        3,
        ("data.csv:2", "CP932", "日本の首都は", "iconv -f CP932"),
        csv("日本の首都はどこですか,東京です,京都です", "cp932"),
        "data.csv",
    ),
    "CP932 with a company sign": Mistake(
        TRAIN,
        3,
        ("CP932", "㈱髙橋", "iconv -f CP932"),
        csv("㈱髙橋の電話番号は,①です,②です", "cp932"),
        "data.csv",
    ),
    "EUC-JP": Mistake(BUILD, 3, ("EUC-JP", "iconv -f EUC-JP"), jsonl(JAPANESE, "euc_jp")),
    "mail's ISO-2022-JP": Mistake(
        SCORE,
        3,
        ("ISO-2022-JP", "日本の首都は", "iconv -f ISO-2022-JP"),
        csv("日本の首都は,東京,京都", "iso2022_jp"),
        "data.csv",
    ),
    "Excel's Unicode text": Mistake(
        SCORE,
        3,
        ("UTF-16LE", "iconv -f UTF-16LE"),
        csv("日本の首都は,東京,京都", "utf-16"),
        "data.csv",
    ),
    "UTF-16 without a mark": Mistake(
        EVALUATE, 3, ("UTF-16BE", "without a byte order mark"), jsonl(JAPANESE, "utf-16-be")
    ),
    "one kanji in EUC-JP": Mistake(
        SCORE, 3, ("EUC-JP “猫", "iconv -f NAME"), csv("猫,犬,狐", "euc_jp"), "data.csv"
    ),
    "half-width katakana": Mistake(SCORE, 3, ("CP932 “ﾃｽﾄ",), csv("ﾃｽﾄ,ｱ,ｲ", "cp932"), "data.csv"),
    "a Japanese column name": Mistake(
        SCORE,
        3,
        ("`質問`", "--prompt-column 質問"),
        [{"質問": "日本の首都はどこですか", "chosen": "東京です。", "rejected": "京都です。"}],
    ),
    "Japanese names for all": Mistake(
        BUILD, 3, ("`prompt` is missing", "質問"), [{"質問": "首都は", "回答": "東京"}]
    ),
    "a full-width comma in CSV": Mistake(
        SCORE,
        3,
        ("prompt，chosen，rejected", "missing"),
        "prompt，chosen，rejected\na，b，c\n",
        "data.csv",
    ),
    "UTF-8 with a line in CP932": Mistake(
        SCORE,
        3,
        ("data.jsonl:3", "damaged or mixed", "CP932 “"),
        jsonl(JAPANESE, "utf-8")
        + jsonl({**JAPANESE, "id": "b"}, "utf-8")
        + jsonl({**JAPANESE, "prompt": "次は？"}, "cp932"),
    ),
    "a Japanese template in CP932": Mistake(
        "build-pairs FILE -o OUT.jsonl --reviser hf:MODEL --template TEMPLATE",
        3,
        ("template.txt:1", "CP932", "iconv -f CP932"),
        [{"prompt": "a", "answer": "b"}],
    ),
    # columns and rows
    "Orca's columns": Mistake(
        TRAIN,
        3,
        ("`question`", "--prompt-column question"),
        [
            {
                "system": "Be brief.",
                "question": "1 + 1?",
                "chosen": "It is 2.",
                "rejected": "It is 3.",
            }
        ],
    ),
    "Alpaca's columns": Mistake(
        BUILD,
        3,
        ("join `instruction` and `input`",),
        [{"instruction": "Add.", "input": "1 1", "output": "2"}],
    ),
    "a system column": Mistake(
        TRAIN, 3, ("`system`", "--system-column system"), [{**PAIR, "system": "Be brief."}]
    ),
    "images": Mistake(
        SCORE, 3, ("`images`", "--ignore-column images"), [{**PAIR, "images": ["a"]}]
    ),
    "tools": Mistake(
        EVALUATE, 3, ("`tools`", "--ignore-column"), [{**PAIR, "tools": [{"name": "f"}]}]
    ),
    "prompts given as pairs": Mistake(
        TRAIN,
        3,
        ("`chosen`, `rejected` is missing", "build-pairs"),
        [{"prompt": "1 + 1?", "expected": "2"}],
    ),
    "a misspelt column": Mistake(
        SCORE,
        3,
        ("rename `rejectd` to `rejected`",),
        [{"prompt": "a", "chosen": "b", "rejectd": "c"}],
    ),
    "ShareGPT": Mistake(
        BUILD,
        3,
        ("--prompt-column conversations",),
        [{"conversations": [{"from": "human", "value": "Hi"}]}],
    ),
    "messages in Python's notation": Mistake(
        SCORE,
        3,
        ("Python's notation", "json.dumps"),
        "prompt,chosen,rejected\nHi,\"[{'role': 'assistant', 'content': 'a'}]\",b\n",
        "data.csv",
    ),
    "a conversation as the prompt": Mistake(
        BUILD,
        3,
        ("ends with an assistant's turn", "answer column"),
        [{"prompt": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}],
    ),
    "a role of their own": Mistake(
        SCORE,
        3,
        ("'Human'", "did you mean user"),
        [{**PAIR, "prompt": [{"role": "Human", "content": "a"}]}],
    ),
    "an empty cell": Mistake(SCORE, 3, ("data.jsonl:1", "null"), [{**PAIR, "chosen": None}]),
    "numbers for texts": Mistake(SCORE, 3, ("must be text", "number"), [{**PAIR, "chosen": 2}]),
    # files
    "an empty file": Mistake(SCORE, 3, ("0 rows in",), ""),
    "one array in a .jsonl": Mistake(SCORE, 3, ("array", ".json"), json.dumps([PAIR]) + "\n"),
    "single quotes": Mistake(SCORE, 3, ("data.jsonl:1", "not JSON"), "{'prompt': 'a'}\n"),
    "a spreadsheet": Mistake(
        SCORE, 3, ("zip archive", "spreadsheet"), b"PK\x03\x04" + bytes(60), "data.csv"
    ),
    "a text file": Mistake(SCORE, 3, ("unknown kind of file", ".txt"), "a\n", "data.txt"),
    "a file that is not there": Mistake("score none.jsonl", 3, ("none.jsonl", "no such file")),
    # options and models
    "a misspelt command": Mistake("trian", 2, ("'trian'", "Did you mean 'train'")),
    "--lr": Mistake(f"{TRAIN} --lr 1e-5", 2, ("--lr", "--set learning_rate"), [PAIR]),
    "--set lr": Mistake(f"{TRAIN} --set lr=1e-5", 2, ("'lr'", "learning_rate"), [PAIR]),
    "--epochs": Mistake(f"{TRAIN} --epochs 3", 2, ("--set num_train_epochs",), [PAIR]),
    "a loss that is none": Mistake(f"{TRAIN} --loss kto", 2, ("'kto'", "apo_zero"), [PAIR]),
    "a model that is nowhere": Mistake(
        "train --model nosuch/model --pairs FILE -o OUT",
        2,
        ("nosuch/model", "neither a folder here nor in the cache"),
        [PAIR],
    ),
    "a misspelt folder": Mistake(
        "train --model MODELL --pairs FILE -o OUT", 2, ("no such folder", "id you mean"), [PAIR]
    ),
    "a model without its kind": Mistake(
        "evaluate FILE --model MODEL --check python:mine:right",
        2,
        ("not a model spec", "hf:"),
        [PAIR],
    ),
    "two baselines": Mistake(
        f"{EVALUATE} --baseline python:a:b --baseline python:c:d",
        2,
        ("--baseline", "one value"),
        [PAIR],
    ),
    "a check without python:": Mistake(
        "evaluate FILE --model python:mine:answer --check mine:right",
        2,
        ("'mine:right'", "python:"),
        [PAIR],
    ),
    "a check that is not there": Mistake(
        "evaluate FILE --model python:mine:answer --check python:mine:wright",
        2,
        ("mine:wright", "AttributeError"),
        [PAIR],
    ),
    "a script as a check": Mistake(
        "evaluate FILE --model python:mine:answer --check python:script:right",
        2,
        ("python:script:right", "SystemExit: 0", "__main__"),
        [PAIR],
    ),
    "a folder without hf:": Mistake(
        "evaluate FILE --model MODEL --check python:mine:right", 2, ("did you mean hf:",), [PAIR]
    ),
    "the file before the id": Mistake(
        "explain FILE row-1", 2, ("clairkit explain row-1 data.jsonl",), [PAIR]
    ),
    "no reviser": Mistake(
        "build-pairs FILE -o OUT.jsonl", 2, ("reviser",), [{"prompt": "a", "answer": "b"}]
    ),
    "no target": Mistake(BUILD, 3, ("target",), [{"prompt": "a"}]),
    "Japanese headers": Mistake(
        f"{BUILD} --prompt-column 質問",
        3,
        ("--target", "`answer`", "--answer-column name"),
        "質問,回答\n1+1は？,2です\n",
        "data.csv",
    ),
    "a wrong column of answers": Mistake(
        "build-pairs FILE -o OUT.jsonl --method judge-off-policy --judge python:mine:answer "
        "--candidates answer --candidates ansr",
        3,
        ("'ansr'", "answer"),
        [{"prompt": "a", "answer": "b"}],
    ),
}
