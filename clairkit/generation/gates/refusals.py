"""Refusals, and answers that declined and were made to claim."""

from __future__ import annotations

import re

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase

# What may stand before the refusal proper. Apostrophes may be curly.
_OPENING_EN = (
    r"(?:(?:i['\u2019]?m (?:very |so |really )?sorry|i am sorry|sorry|i apologi[sz]e|unfortunately|"
    r"thank(?:s| you)[^.!\n]{0,60}[.!])[,.:;\s]*(?:about that[,.]\s*)?(?:but\s+)?)?"
    r"(?:as an? (?:ai|artificial|language model|assistant)\b[^.\n]{0,80}?[,.]\s*)?"
)
_CANNOT_EN = (
    r"i\s*(?:can['\u2019]?t|cannot|can not|am unable to|['\u2019]m unable to|am not able to|"
    r"['\u2019]m not able to|won['\u2019]?t|will not|must decline to|have to decline to)\s+"
    r"(?:be able to\s+)?(?:help|assist|provide|comply|do that|fulfil+|continue|revise|answer|write|"
    r"generate|support|create|engage|offer|share|discuss|respond|give)"
)
_REFUSAL_EN = re.compile(
    rf"{_OPENING_EN}(?:{_CANNOT_EN}|i (?:must|have to) (?:respectfully )?(?:decline|refuse)\b)",
    re.IGNORECASE,
)
_REFUSAL_JA = re.compile(
    r"(?:大変|誠に|まことに)?(?:申し訳(?:ございません|ありません|ない|ござい)|すみません|恐れ入りますが|"
    r"残念ながら|ごめんなさい|私は|AIとして|AIアシスタントとして)[^。\n]{0,80}?"
    r"(?:[。、]\s*[^。\n]{0,60}?)?(?:お?答え|回答|お?手伝い|提供|対応|支援|ご?要望|リクエスト|依頼|お?応え|"
    r"作成|説明)[^。\n]{0,20}?(?:できません|出来ません|できかねます|いたしかねます|お断り|控え)"
)
_UNKNOWN_EN = re.compile(
    rf"{_OPENING_EN}(?:i (?:do not|don['\u2019]?t) (?:know|have (?:any |enough |access to |"
    r"the |real-time |specific )*(?:information|data|access|knowledge|internet|ability))|"
    r"i(?: am|['\u2019]m) not (?:sure|certain|aware)|i have no (?:information|knowledge|way of)|"
    r"(?:there is|there['\u2019]s) (?:not enough|insufficient) information)",
    re.IGNORECASE,
)
_UNKNOWN_JA = re.compile(
    r"(?:申し訳(?:ございません|ありません)(?:が)?|すみませんが?|残念ながら)?[、。\s]*[^。\n]{0,40}?"
    r"(?:わかりません|分かりません|存じません|知りません|情報(?:が|は|を)(?:ありません|ございません|持って)|"
    r"判断できません|不明です)"
)
# "I'm not sure which one you use, but …": what follows is the answer.
_BUT = re.compile(
    r"[^.!?\n]{0,120}?[,;]\s*(?:but|however|though|although|yet)\b|(?:です)?(?:が|けれど)[、,]",
    re.IGNORECASE,
)
_HEAD = 400  # a refusal is said at once


def is_refusal(text: str) -> bool:
    """Whether a text begins as a refusal does, in English or Japanese."""
    head = text.lstrip()[:_HEAD]
    return bool(_REFUSAL_EN.match(head) or _REFUSAL_JA.match(head))


def _declines(text: str) -> bool:
    """Whether a text begins with a refusal, or with not knowing, and leaves it at that."""
    head = text.lstrip()[:_HEAD]
    unknown = _UNKNOWN_EN.match(head) or _UNKNOWN_JA.match(head)
    return is_refusal(text) or bool(unknown and not _BUT.match(head, unknown.end()))


def refusal(case: GateCase) -> str | None:
    """The revision refuses and the answer did not."""
    if is_refusal(case.revision) and not is_refusal(case.answer):
        return "the revision refuses where the answer did not"
    return None


def refusal_flipped(case: GateCase) -> str | None:
    """The answer declined, or did not know, and the revision does neither any more."""
    if not _declines(case.answer) or _declines(case.revision):
        return None
    return f"the answer declined: {excerpt(case.answer.strip(), 60)}"
