"""Replies that a reviser may give: what each holds, or the detail code of why it holds nothing.

By form (`paper`, `ours`, `edits`) and by what is peculiar about the reply. The answer that was
revised is `ANSWER`; for edits the expected text is what the answer has become.
"""

from __future__ import annotations

from clairkit.generation.revision.parser import Revision

NONCE = "0a1b2c3d"
OTHER = "99999999"
ANSWER = "Two pens cost 20."
TAG = "0a"
WHY, NEW, EDITS, END = (f"[[{name}:{NONCE}]]" for name in ("reasoning", "revision", "edits", "end"))
FIND, TO, PUT = (f"[[{name}:{TAG}]]" for name in ("find", "to", "replace"))
T, C = "{teacher_reasoning}", "{corrected_student_solution}"

Case = tuple[str, Revision | str]

PAPER: dict[str, Case] = {
    "plain": (
        f"{T}\n\nWrong sum.\n\n{C}\n\nTwo pens cost 24.",
        Revision("Two pens cost 24.", "Wrong sum."),
    ),
    "colon": (f"{T}:\nWrong.\n\n{C}:\nSure: 24.", Revision("Sure: 24.", "Wrong.")),
    "colon and space": (f"{T}: \nWrong.\n\n{C}: \nSure.", Revision("Sure.", "Wrong.")),
    "same line": (
        f"{T}: Wrong:\n\n1. sum\n\n{C}: Sure.\n\nx",
        Revision("Sure.\n\nx", "Wrong:\n\n1. sum"),
    ),
    "bold": (f"**{T}**\nWrong.\n**{C}**\nSure.", Revision("Sure.", "Wrong.")),
    "bold, colon outside": (f"**{T}**: Wrong.\n**{C}**: Sure.", Revision("Sure.", "Wrong.")),
    "bold, colon inside": (f"**{T}:** Wrong.\n**{C}:** Sure.", Revision("Sure.", "Wrong.")),
    "heading": (f"## {T}\nWrong.\n## {C}\nSure.", Revision("Sure.", "Wrong.")),
    "code span": (f"`{T}`\nWrong.\n`{C}`\nSure.", Revision("Sure.", "Wrong.")),
    "capitals": (f"{T.upper()}\nWrong.\n{C.upper()}\nSure.", Revision("Sure.", "Wrong.")),
    "escaped": (
        "\\{teacher\\_reasoning\\}\nW.\n\\{corrected\\_student\\_solution\\}\nSure.",
        Revision("Sure.", "W."),
    ),
    "double braces": (f"{{{T}}}\nW.\n{{{C}}}\nSure.", Revision("Sure.", "W.")),
    "full-width colon": (f"{T}\uff1a Wrong.\n{C}\uff1aSure.", Revision("Sure.", "Wrong.")),
    "full-width braces": (
        "\uff5bteacher_reasoning\uff5d\nW.\n\uff5bcorrected_student_solution\uff5d\nSure.",
        Revision("Sure.", "W."),
    ),
    "windows lines": (f"{T}\r\nW.\r\n{C}\r\nSure.\r\nx\r\n", Revision("Sure.\r\nx", "W.")),
    "byte order mark": (f"\ufeff{T}\nW.\n{C}\nSure.", Revision("Sure.", "W.")),
    "preamble": (f"Here you are:\n{T}\nW.\n{C}\nSure.", Revision("Sure.", "W.")),
    "no reasoning mark": (f"W.\n{C}\nSure.", Revision("Sure.", "W.")),
    "no reasoning": (f"{C}\nSure.", Revision("Sure.")),
    "empty reasoning": (f"{T}\n{C}\nSure.", Revision("Sure.")),
    "quoted in the reasoning": (
        f"{T}\nBelow, in {C}: I say so.\n{C}\nSure.",
        Revision("Sure.", f"Below, in {C}: I say so."),
    ),
    "begins a sentence of the reasoning": (
        f"{T}\n{C} follows.\n{C}\nSure.",
        Revision("Sure.", f"{C} follows."),
    ),
    "in a fence of the reasoning": (
        f"{T}\nForm:\n```\n{C}\nx\n```\n{C}\nSure.",
        Revision("Sure.", f"Form:\n```\n{C}\nx\n```"),
    ),
    "whole reply fenced": (f"```\n{T}\nW.\n{C}\nSure.\n```", Revision("Sure.", "W.")),
    "whole reply fenced, code inside": (
        f"````markdown\n{T}\nW.\n{C}\nSo:\n```py\nx\n```\n````",
        Revision("So:\n```py\nx\n```", "W."),
    ),
    "code in the revision": (
        f"{T}\nW.\n{C}\n```py\n    x = 1\n```",
        Revision("```py\n    x = 1\n```", "W."),
    ),
    "indented first line": (f"{T}\nW.\n{C}\n\n    x = 1", Revision("    x = 1", "W.")),
    "thought first": (
        f"<think>\n{C}\nDraft.\n</think>\n{T}\nW.\n{C}\nSure.",
        Revision("Sure.", "W."),
    ),
    "thought without its start": (
        f"{C}\nDraft.\n</think>\n{T}\nW.\n{C}\nSure.",
        Revision("Sure.", "W."),
    ),
    "longer thought": (f"\n<thinking>\n{C}\nDraft.\n</thinking>\n{C}\nSure.", Revision("Sure.")),
    "thought in the revision": (
        f"{C}\nWrite <think>so</think>.",
        Revision("Write <think>so</think>."),
    ),
    "bold round mark and text": (f"**{C}: Sure.**", "marker_inline"),
    "bold text at the mark": (f"{C}:**Sure**, 24.", Revision("**Sure**, 24.")),
    "bold text behind a bold mark": (f"**{C}:** **Sure**.", Revision("**Sure**.")),
    "quoted": (f"> {T}\n> W.\n> {C}\n> Sure.", "marker_inline"),
    "list": (f"1. {T}\nW.\n2. {C}\nSure.", "marker_inline"),
    "hidden space before the mark": (f"\u200b{C}\nSure.", "marker_inline"),
    "old line ends": (f"{T}\rW.\r{C}\rSure.", "marker_inline"),
    "brackets instead of braces": (f"[{C[1:-1]}]\nSure.", "marker_missing"),
    "missing": ("Two pens cost 24.", "marker_missing"),
    "nothing": ("", "marker_missing"),
    "only reasoning": (f"{T}\nWrong.", "marker_missing"),
    "words instead of the mark": ("**Corrected student solution:**\nSure.", "marker_missing"),
    "half a mark": (f"{T}\nW.\n{{corrected_student_solution\nSure.", "marker_missing"),
    "thought that never ends": (f"<think>\n{C}\nDraft.", "marker_missing"),
    "inline only": (f"{T}\nW. My {C}: Sure.", "marker_inline"),
    "sentence only": (f"{T}\n{C} would be the same.", "marker_inline"),
    "fence only": (f"{T}\nForm:\n```\n{C}\nx\n```\nSure.", "marker_in_fence"),
    "fence left open": (f"{T}\n```\nx\n{C}\nSure.", "marker_in_fence"),
    "twice": (f"{T}\nW.\n{C}\nDraft.\n{C}\nSure.", "marker_twice"),
    "two drafts": (f"{T}\nW.\n{C}\nDraft.\n{T}\nMore.\n{C}\nSure.", "marker_twice"),
    "twice, once bold": (f"**{C}**\nDraft.\n{C}: Sure.", "marker_twice"),
    "reasoning last": (f"{C}\nSure.\n{T}\nWrong.", "marker_order"),
    "empty": (f"{T}\nW.\n{C}\n", "revision_empty"),
    "blank": (f"{T}\nW.\n{C}:\n \t\n\n", "revision_empty"),
    "mark within the revision": (f"{T}\nW.\n{C}\nAs {C} shows.", "marker_leak"),
    "request mark within the revision": (f"{T}\nW.\n{C}\n[[answer:{NONCE}]]\nSure.", "marker_leak"),
    "prose in a fence": (f"{T}\nW.\n{C}\n```\nSure.\n```", "revision_fenced"),
    "markdown in a fence": (f"{T}\nW.\n{C}\n```markdown\nSure.\n```", "revision_fenced"),
}

OURS: dict[str, Case] = {
    "plain": (f"{WHY}\nW.\n{NEW}\nSure.\n{END}", Revision("Sure.", "W.")),
    "end on the last line": (f"{WHY}\nW.\n{NEW}\nSure.{END}", Revision("Sure.", "W.")),
    "bold": (f"**{WHY}**\nW.\n**{NEW}**\nSure.\n**{END}**\n", Revision("Sure.", "W.")),
    "bold end on the last line": (f"{NEW}\nSure.**{END}**", Revision("Sure.")),
    "bold end behind bold text": (f"{NEW}\n**Sure.****{END}**", Revision("**Sure.**")),
    "bold text, loose bold behind it": (f"{NEW}\n**Sure.**{END}**", "text_after_end"),
    "thought with the marks": (
        f"<think>{NEW}\nDraft.\n{END}</think>\n{WHY}\nW.\n{NEW}\nSure.\n{END}",
        Revision("Sure.", "W."),
    ),
    "the end within a sentence": (f"{NEW}\nI wrote {END} here.\n{END}", "marker_twice"),
    "the end's name only": (f"{NEW}\nSure.\n[[end]]", "end_missing"),
    "the mark, again, at the end": (f"{NEW}\nSure.\n{END}\n{NEW}", "marker_twice"),
    "escaped brackets": (f"\\[\\[revision:{NONCE}\\]\\]\nSure.\n{END}", "marker_missing"),
    "edits instead": (f"{WHY}\nW.\n{EDITS}\n{FIND}\n20\n{PUT}\n24\n{END}", "marker_missing"),
    "an edit in the revision": (f"{NEW}\n[[find:{NONCE}]]\n20\n{END}", "marker_leak"),
    "fenced in tildes": (f"~~~\n{NEW}\nSure.\n{END}\n~~~", Revision("Sure.")),
    "words behind the fence": (f"```\n{NEW}\nSure.\n{END}\n```\nDone.", "marker_in_fence"),
    "published marks are text": (f"{WHY}\nW.\n{NEW}\n{C}\nx\n{END}", Revision(f"{C}\nx", "W.")),
    "another nonce is text": (
        f"{WHY}\nW.\n{NEW}\n[[end:99999999]]\nx\n{END}",
        Revision("[[end:99999999]]\nx", "W."),
    ),
    "end after the reasoning, too": (
        f"{WHY}\nW.\n{END}\n{NEW}\nSure.\n{END}",
        Revision("Sure.", f"W.\n{END}"),
    ),
    "form quoted in a fence": (
        f"{WHY}\n```\n{NEW}\nx\n{END}\n```\n{NEW}\nSure.\n{END}",
        Revision("Sure.", f"```\n{NEW}\nx\n{END}\n```"),
    ),
    "no end": (f"{WHY}\nW.\n{NEW}\nSure.", "end_missing"),
    "two ends": (f"{WHY}\nW.\n{NEW}\nSure.\n{END}\nMore.\n{END}", "marker_twice"),
    "text after the end": (f"{WHY}\nW.\n{NEW}\nSure.\n{END}\nI hope this helps!", "text_after_end"),
    "end at once": (f"{WHY}\nW.\n{NEW}\n{END}", "revision_empty"),
    "only an end": (f"Sure.\n{END}", "marker_missing"),
    "answer's mark copied": (
        f"{WHY}\nW.\n{NEW}\nSure.\n[[answer-end:{NONCE}]]\n{END}",
        "marker_leak",
    ),
    "another nonce": (f"{WHY}\nW.\n{NEW.replace('0a', '0b')}\nSure.\n{END}", "marker_missing"),
}

BILL = "Pens cost 12 each.\n\nTwo pens cost 20.\nTwo pads cost 20.\n"


def _edits(*parts: str) -> str:
    return "\n".join((WHY, "W.", EDITS, *parts, END))


EDIT_REPLIES: dict[str, Case] = {
    "one": (
        _edits(FIND, "pens cost 20", PUT, "pens cost 24"),
        Revision(BILL.replace("20", "24", 1), "W."),
    ),
    "none": (_edits(), Revision(BILL, "W.")),
    "deletion": (_edits(FIND, "Two pads cost 20.\n", PUT), Revision(BILL[:-18], "W.")),
    "deletion by an empty line": (
        _edits(FIND, " each", PUT, ""),
        Revision(BILL.replace(" each", ""), "W."),
    ),
    "passage": (
        _edits(FIND, "Pens", TO, "20.\nTwo", PUT, "A"),
        Revision("A pads cost 20.\n", "W."),
    ),
    "out of order": (
        _edits(FIND, "pads", PUT, "caps", FIND, "Pens", PUT, "Pins"),
        Revision("Pins cost 12 each.\n\nTwo pens cost 20.\nTwo caps cost 20.\n", "W."),
    ),
    "side by side": (
        _edits(FIND, "Pens", PUT, "Pins", FIND, " cost 12", PUT, " are 11"),
        Revision(BILL.replace("Pens cost 12", "Pins are 11"), "W."),
    ),
    "in bold": (
        _edits(f"**{FIND}**", "pads", f"**{PUT}**", "caps"),
        Revision(BILL.replace("pads", "caps"), "W."),
    ),
    "on the mark's line": (
        _edits(f"{FIND}: pads", f"{PUT}: caps"),
        Revision(BILL.replace("pads", "caps"), "W."),
    ),
    "windows lines": (
        _edits(FIND, "20.\nTwo", PUT, "24.\nTwo").replace("\n", "\r\n"),
        Revision(BILL.replace("20.", "24.", 1), "W."),
    ),
    "a fence that is the new text's": (
        _edits(FIND, "Pens", PUT, "```", FIND, "pads", PUT, "```"),
        Revision(BILL.replace("Pens", "```").replace("pads", "```"), "W."),
    ),
    "whole reply fenced": (
        f"```\n{_edits(FIND, 'pads', PUT, 'caps')}\n```",
        Revision(BILL.replace("pads", "caps"), "W."),
    ),
    "the long nonce within edits": (
        _edits(f"[[find:{NONCE}]]", "pads", f"[[Replace:{NONCE}]]", "caps"),
        Revision(BILL.replace("pads", "caps"), "W."),
    ),
    "another tag is text": (
        _edits(FIND, "pads", PUT, "[[find:0b]]\n[[end:0a]]"),
        Revision(BILL.replace("pads", "[[find:0b]]\n[[end:0a]]"), "W."),
    ),
    "another nonce is text": (
        _edits(FIND, "pads", PUT, f"[[end:{OTHER}]]"),
        Revision(BILL.replace("pads", f"[[end:{OTHER}]]"), "W."),
    ),
    "indented text": (
        _edits(FIND, "pads", PUT, "  caps "),
        Revision(BILL.replace("pads", "  caps "), "W."),
    ),
    "no such text": (_edits(FIND, "pencils", PUT, "pens"), "find_missing in edit 1"),
    "other white space": (_edits(FIND, "Two  pads", PUT, "x"), "find_missing in edit 1"),
    "other case": (_edits(FIND, "two pads", PUT, "x"), "find_missing in edit 1"),
    "an ellipsis for a passage": (
        _edits(FIND, "Pens ... each", PUT, "x"),
        "find_missing in edit 1",
    ),
    "fenced text to find": (_edits(FIND, "```\npads\n```", PUT, "x"), "find_missing in edit 1"),
    "twice in the answer": (_edits(FIND, "cost 20", PUT, "x"), "find_ambiguous in edit 1"),
    "nothing to find": (_edits(FIND, PUT, "x"), "find_empty in edit 1"),
    "no last words": (_edits(FIND, "Pens", TO, PUT, "x"), "to_empty in edit 1"),
    "last words before the first": (
        _edits(FIND, "pads", TO, "Pens", PUT, "x"),
        "to_missing in edit 1",
    ),
    "last words twice": (_edits(FIND, "Pens", TO, "20.", PUT, "x"), "to_ambiguous in edit 1"),
    "overlap": (
        _edits(FIND, "Pens cost", PUT, "x", FIND, "cost 12", PUT, "y"),
        "overlap in edit 2",
    ),
    "the same edit twice": (
        _edits(FIND, "Pens", PUT, "Pins", FIND, "Pens", PUT, "Pins"),
        "overlap in edit 2",
    ),
    "one good, two bad": (
        _edits(FIND, "Pens", PUT, "x", FIND, "20", PUT, "y", FIND, "cups", PUT, "z"),
        "find_ambiguous in edit 2; find_missing in edit 3",
    ),
    "finds what an edit put in": (
        _edits(FIND, "Pens", PUT, "Cups", FIND, "Cups", PUT, "x"),
        "find_missing in edit 2",
    ),
    "no text in its place": (_edits(FIND, "Pens"), "edit_incomplete"),
    "only a text": (_edits(PUT, "x"), "edit_incomplete"),
    "two texts to find": (_edits(FIND, "Pens", FIND, "pads", PUT, "x"), "edit_incomplete"),
    "words before the first": (_edits("Here:", FIND, "Pens", PUT, "x"), "text_before_edit"),
    "words instead of edits": (_edits("Nothing has to change."), "text_before_edit"),
    "marks on one line": (_edits(f"{FIND} Pens {PUT} x"), "marker_inline"),
    "request mark in a text": (_edits(FIND, "Pens", PUT, f"[[answer:{NONCE}]]"), "marker_leak"),
    "whole revision instead": (f"{WHY}\nW.\n{NEW}\n{BILL}{END}", "marker_missing"),
    "edits without their mark": (f"{WHY}\n{FIND}\nPens\n{PUT}\nx\n{END}", "marker_missing"),
    "no end": (f"{WHY}\n{EDITS}\n{FIND}\nPens\n{PUT}\nPi", "end_missing"),
    "words at the end": (_edits(FIND, "Pens", PUT, "x") + "\nDone.", "text_after_end"),
    "a draft, then edits": (
        _edits(FIND, "Pens", PUT, "x").replace(END, f"{EDITS}\n{END}"),
        "marker_twice",
    ),
}
