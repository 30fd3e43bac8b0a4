"""Phrases that give a revision away, in English and Japanese.

Each is a pattern and the words one of which has to stand in a text before the pattern is tried:
nearly all texts are passed by these alone, in microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Phrase(NamedTuple):
    """A pattern, and words of which any match holds at least one, in lower case.

    `of_a_role`: where a text before speaks of such people, it says nothing of the reviser.
    """

    words: tuple[str, ...]
    pattern: re.Pattern[str]
    of_a_role: bool = False

    def find(self, text: str, lowered: str) -> re.Match[str] | None:
        """Return the first match in `text`, whose lower case is `lowered`."""
        if not any(word in lowered for word in self.words):
            return None
        return self.pattern.search(text)


def _phrases(*entries: tuple[str, str], of_a_role: bool = False) -> tuple[Phrase, ...]:
    """Phrases out of words, separated by `|`, and patterns."""
    flags = re.IGNORECASE | re.MULTILINE
    return tuple(
        Phrase(tuple(w.split("|")), re.compile(text, flags), of_a_role) for w, text in entries
    )


def _any(words: str) -> str:
    return f"(?:{words})"


_CHANGED_WORDS = (
    "revised|corrected|rewritten|edited|improved|reworked|amended|polished|enhanced|refined"
)
_REVISER_WORDS = (
    "teacher|tutor|instructor|reviser|revisor|reviewer|corrector|grader|proofreader|editor"
)
_CHANGED, _REVISER = _any(_CHANGED_WORDS), _any(_REVISER_WORDS)
_TEXT = r"(?:answer|response|reply|solution|explanation)"
_HEADING = r"[ \t]*(?:#+[ \t]*|\*\*|\u3010)?"
_HERE = r"\bhere(?:['\u2019]s| is) (?:the|a|an|your|my) "

MARKERS = _phrases(
    ("[[", r"\[\[[a-z][a-z.0-9-]{0,30}:[0-9a-f]{8}\]\]"),
    (
        "teacher|student",
        r"[{\uff5b]{1,2}[ \t]*(?:teacher\\?_reasoning|corrected\\?_student\\?_solution)"
        r"[ \t]*\\?[}\uff5d]",
    ),
    ("<<<<<|>>>>>", r"^[ \t]*(?:<{5,}|>{5,}) ?(?:SEARCH|REPLACE)\b"),
)
"""Of a request's form."""

CHAT_TOKENS = _phrases(
    ("<|", r"<\|[a-z_0-9]{2,30}\|>"),
    ("<\uff5c", r"<\uff5c[^\n\uff5c]{2,40}\uff5c>"),
    ("[/inst]|sys>>", r"<</?SYS>>|\[/INST\]"),
    ("think>|thinking>|_turn>", r"</?(?:think|thinking|start_of_turn|end_of_turn)>"),
)
"""Of chat templates; in code they may be what the text is about."""

_ROLES = _phrases(
    (
        _REVISER_WORDS,
        rf"\bas (?:an? |the |your )?(?:experienced |expert |strict )?{_REVISER}\b(?=,| i\b)",
    ),
    (
        "student",
        r"\bthe student(?:['\u2019]s|s['\u2019]?)? (?:own |original |initial |first |whole )?"
        rf"(?:{_TEXT}|attempt|work)\b",
    ),
    (
        "教師|先生|添削者|採点者|校正者|校閲者|査読者",
        r"(?:教師|先生|添削者|採点者|校正者|校閲者|査読者)として[、,は]",
    ),
    ("学生|生徒|受講者", r"(?:学生|生徒|受講者)の(?:元の|最初の)?(?:回答|答え|解答|答案)"),
    of_a_role=True,
)

META = _ROLES + _phrases(
    (
        "original|previous|earlier",
        r"\b(?:the|your|my) (?:original|previous|earlier) (?:(?:answer|reply)\b|response "
        r"(?:was|is|had|has|said|stated|contained|did|omitted|incorrectly|wrongly)\b)",
    ),
    (
        _CHANGED_WORDS,
        rf"{_HERE}(?:\w+ )?{_CHANGED} (?:{_TEXT}|version)"
        r"(?! of (?:the|your|this) (?:prompt|text|sentence|paragraph|essay|email|code))",
    ),
    (_CHANGED_WORDS, rf"\b(?:this|the) {_CHANGED} {_TEXT}\b"),
    (
        _CHANGED_WORDS,
        rf"\bi(?:['\u2019]ve| have)? {_CHANGED} (?:the|your|this|my) (?:{_TEXT}|wording)\b",
    ),
    (
        _CHANGED_WORDS,
        rf"\A{_HEADING}{_CHANGED} (?:{_TEXT}|version)[ \t]*(?:\*\*|[:\uff1a]|$)",
    ),
    (
        "made",
        rf"^{_HEADING}(?:changes|corrections|edits|revisions|improvements) (?:i )?made\b",
    ),
    (
        "correct|fine|good|accurate|perfect",
        r"\A[ \t]*(?:the|this|your) (?:answer|response|solution) (?:is|was) (?:already )?"
        r"(?:correct|fine|good|accurate|perfect)\b",
    ),
    (
        "needed|necessary|required",
        r"\A[ \t]*no (?:changes|corrections|edits|revisions) (?:are |were |is )?"
        r"(?:needed|necessary|required)\b",
    ),
    (
        "元|もと|前|最初|先ほど|当初",
        r"(?:元|もと|以前|前回|最初|先ほど|当初)の(?:回答|答え|解答|返答|応答)(?:で|は|に|を|の)",
    ),
    (
        "修正|訂正|改訂|改善|添削|校正",
        r"(?:修正|訂正|改訂|改善|添削|校正)(?:後|版|済み|した|された|を加えた)の?"
        r"(?:回答|答え|解答|返答|バージョン)",
    ),
    ("版|後", rf"\A{_HEADING}(?:修正版|訂正版|改訂版|改善版|修正後|添削後)"),
    (
        "修正|訂正|改訂|改善|添削",
        r"(?:回答|答え|解答|返答)を(?:修正|訂正|改訂|改善|添削)(?:しました|いたしました|しています)",
    ),
    (
        "点|箇所",
        rf"^{_HEADING}(?:修正点|変更点|訂正箇所|修正箇所)(?:\u3011|\*\*|[:\uff1a]|$)",
    ),
    (
        "修正|変更|訂正",
        r"\A[ \t]*(?:修正|変更|訂正)(?:の必要)?は(?:必要)?(?:ありません|ございません|不要)",
    ),
)
"""Never said in an answer that stands alone."""

MENTIONS = _phrases(
    (
        f"{_CHANGED_WORDS}|updated|fixed",
        rf"{_HERE}[^.\n]{{0,60}}?\b(?:{_CHANGED}|updated|fixed)\b",
    ),
    (
        "revised|corrected|amended|updated|fixed",
        r"\b(?:an?|the) (?:revised|corrected|amended|updated|fixed)(?: and \w+)? "
        r"(?:version|approach|code|script|example|program|text)\b",
    ),
    (
        f"{_CHANGED_WORDS}|updated",
        rf"\b(?:{_CHANGED}|updated) for (?:clarity|correctness|accuracy|readability)\b",
    ),
    (
        "corrected|revised",
        r"\bcorrected (?:from|to read)\b|\((?:corrected|revised)\)",
    ),
    ("correction:|erratum:", rf"^{_HEADING}(?:correction|erratum):"),
    ("note: ", r"\bnote: (?:i|this) (?:have |was )?(?:corrected|changed|fixed)\b"),
    (
        "修正|訂正|改善|改訂|更新",
        r"(?:修正|訂正|改善|改訂|更新)(?:した|された|済みの|版の)(?:コード|例|プログラム|文章|方法|版)",
    ),
    ("以下", r"以下(?:は|が)、?(?:修正|訂正|改善|改訂)"),
)
"""A hint at an earlier version, which an answer may give for reasons of its own."""

_REST_WORDS = "rest|remainder|remaining|other|everything else"
_REST = (
    r"(?:rest|remainder|remaining (?:part|code|text|steps|sections?|paragraphs?)"
    r"|other (?:parts|sections|steps)|everything else)"
)
_SAME = r"(?:unchanged|the same|as (?:it )?(?:is|was)|as before|as above|identical|omitted|intact)"
_WHOLE = (
    r"(?:code|text|content|answer|implementation|function|class|script|file|program|document"
    r"|method)\b"
)
_PLACEHOLDER = r"^[ \t]*(?:#|//|/\*|<!--|--|\[|\(|\.\.\.|\u2026)[ \t.\u2026]*(?:the )?"

ELIDED = _phrases(
    (
        _REST_WORDS,
        rf"\b{_REST}\b[^.\n]{{0,50}}\b(?:remains?|stays?|is|are|kept|left|goes|continues?)\s+"
        rf"(?:exactly |largely |all )?{_SAME}\b",
    ),
    (
        f"{_REST_WORDS}|unchanged|existing|previous|original|same",
        rf"{_PLACEHOLDER}(?:{_REST} (?:of )?(?:the |your |this )?(?:\w+ )?{_WHOLE}"
        rf"|{_REST}(?: is| are)? unchanged|(?:existing|previous|original|same) {_WHOLE}|unchanged)"
        r"[^\n,;:(]{0,30}$",
    ),
    (
        _REST_WORDS,
        rf"[\[(][ \t.\u2026]*(?:the )?{_REST} of (?:the |your )?"
        r"(?:answer|text|code|response|article|essay|list)[^\n\])]{0,40}[\])]",
    ),
    (
        "変更|元の|そのまま|省略",
        r"(?:残り|以下|以降|その他|それ以外|他)(?:の(?:部分|内容|コード|文章|回答))?(?:は|も)、?"
        r"[^。\n]{0,12}(?:変更なし|変更ありません|変更はありません|元のまま"
        r"|そのまま(?:です|。|$|\)|\uff09)|省略|元の回答と同じ)",
    ),
    (
        "略|変更なし|同上",
        r"[(\uff08\[\u3010](?:以下|中|後)?(?:略|省略|変更なし|同上)[)\uff09\]\u3011]",
    ),
)
"""What stands for a part that is left out as unchanged."""

DIRECTIONS = _phrases(
    (
        "ignore|disregard|forget|override",
        r"\b(?:ignore|disregard|forget|override)\b "
        r"(?:(?:all|any|the|your|these|those|of|my|every) ){0,3}"
        r"(?:previous|prior|above|earlier|preceding|foregoing|system) "
        r"(?:instructions?|prompts?|directions?|messages?|rules?|guidelines?|context)\b",
    ),
    (
        "you are now",
        r"\byou are now (?:an? |in )?(?:dan\b|developer mode|unrestricted|jailbroken|free of)",
    ),
    (
        "system|hidden|initial",
        r"\b(?:reveal|print|repeat|output|show)(?: me)? (?:your|the) (?:system|hidden|initial) "
        r"(?:prompt|message|instructions?)\b",
    ),
    (
        "note|message|instruction",
        r"\b(?:note|message|instructions?) (?:to|for) the "
        rf"(?:{_REVISER}|judge|assistant|ai|model)\b",
    ),
    ("do not", r"\bdo not (?:revise|correct|edit) (?:this|the) (?:answer|response|text)\b"),
    ("<|", r"<\|(?:im_start|start_header_id|system)\|>"),
    ("[inst]|<<sys>>", r"\[INST\]|<<SYS>>"),
    (
        "無視|忘れ|破棄",
        r"(?:これまで|以前|上記|前|先ほど|今まで|すべて|全て)の(?:すべての|全ての)?"
        r"(?:指示|命令|プロンプト|ルール|制約)(?:を|は)(?:すべて|全て)?(?:無視|忘れ|破棄)",
    ),
    ("システムプロンプト", r"システムプロンプトを(?:表示|出力|教え|見せ)"),
)
"""What a text tells its reader to do, and an answer has no cause to."""


def first_match(phrases: Sequence[Phrase], text: str) -> re.Match[str] | None:
    """Return the match of the first of `phrases` that stands in `text`."""
    lowered = text.lower()
    return next((match for phrase in phrases if (match := phrase.find(text, lowered))), None)
