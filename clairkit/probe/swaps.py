"""What is put in the place of what: statements negated, lines of code broken."""

from __future__ import annotations

import re

NEGATIONS = (
    (re.compile(r"\b(is|are|was|were|will|should|must) not (?!only\b)"), r"\1 "),
    (re.compile(r"\b(is|are|was|were|will|should|must) (?!not?\b)(?=[a-z])"), r"\1 not "),
    (re.compile(r"\bcannot\b"), "can"),
    (re.compile(r"\bcan (?!not\b)(?=[a-z])"), "cannot "),
    (re.compile(r"\bnever\b"), "always"),
    (re.compile(r"\balways\b"), "never"),
    (re.compile("ではありません(?=。)"), "です"),
    (re.compile("(?<!ん)です(?=。)"), "ではありません"),
    (re.compile("(?<!ではあり)ません(?=。)"), "ます"),
    (re.compile("(?<=[いきしちにびみりえけせてねべめれ])ます(?=。)"), "ません"),
    (re.compile("しないでください(?=。)"), "してください"),
    (re.compile("(?<!な)してください(?=。)"), "しないでください"),
)
"""English, then Japanese: a pattern, and what a match becomes."""

CODE_BREAKS = (
    (re.compile(r"<="), "<"),
    (re.compile(r">="), ">"),
    (re.compile(r"(?<![=!<>+\-*/])==(?!=)"), "!="),
    (re.compile(r"(?<=\w) \+ (?=\w)"), " - "),
    (re.compile(r"\bTrue\b"), "False"),
    (re.compile(r"\btrue\b"), "false"),
    (re.compile(r"\bDESC\b"), "ASC"),
    (re.compile(r"\)(?=:?;?$)", re.MULTILINE), ""),
    (re.compile(r"\](?=:?;?$)", re.MULTILINE), ""),
)
