"""The words of a page for raters, in English and Japanese. In braces: what is put in."""

# ruff: noqa: RUF001 - full-width punctuation is meant

from __future__ import annotations

from collections.abc import Mapping

_EN = {
    "title": "Which answer is better?",
    "title_accept": "Is the revision an improvement?",
    "ask_better": "Which of the two answers is better?",
    "ask_accept": "Would you replace the answer by its revision?",
    "no_script": "This page needs JavaScript. Save it and open it in a browser (Chrome, Edge, "
    "Firefox or Safari); the preview of a mail program does not run it.",
    "rater": "For {rater}",
    "prompt": "What was asked",
    "role_system": "System",
    "role_assistant": "Assistant",
    "role_user": "User",
    "role_tool": "Tool",
    "side_left": "Answer 1",
    "side_right": "Answer 2",
    "side_answer": "Answer",
    "side_revision": "Revision",
    "left": "1 is better",
    "right": "2 is better",
    "tie": "Equally good",
    "bad": "Both bad",
    "accept": "Accept",
    "reject": "Reject",
    "skip": "Skip",
    "undo": "Undo",
    "note": "Note",
    "help": "Help",
    "save": "Save answers",
    "save_csv": "Save as CSV",
    "close": "Close",
    "progress": "{done} of {total}",
    "time_left": "about {minutes} min left",
    "voted": "{vote}. Now {place} of {total}.",
    "undone": "Undone. Now {place} of {total}.",
    "nothing_to_undo": "There is nothing to undo.",
    "noted": "with note",
    "note_for": "Note on this one",
    "done": "All {total} are answered",
    "done_next": "Save your answers and send the file back to the person who gave you this page.",
    "saved": "{count} answers are in the file {file}. Send it back.",
    "not_kept": "This browser does not keep your answers (its storage is full or off). Go on "
    "without closing or reloading the page, and save often.",
    "evidence": "{decided} decided. With so many, {share} % or more for the same system would be "
    "evidence enough; who is ahead, this page does not know.",
    "evidence_none": "{decided} decided. So few cannot be evidence yet, whatever they are.",
    "help_blind": "This page does not know which system wrote which answer. Which one stands first "
    "is drawn anew each time. Nothing is sent anywhere: your answers stay in this browser until "
    "you save them.",
    "help_accept": "Accept what you would use in place of the answer as it is. Nothing is sent "
    "anywhere: your answers stay in this browser until you save them.",
}
_JA = {
    "title": "どちらの回答が良いですか",
    "title_accept": "修正は改善になっていますか",
    "ask_better": "2つの回答のうち、良いのはどちらですか。",
    "ask_accept": "元の回答を、この修正版に置き換えますか。",
    "no_script": "このページにはJavaScriptが必要です。ファイルを保存し、ブラウザー（Chrome、Edge、"
    "Firefox、Safari）で開いてください。メールのプレビューでは動きません。",
    "rater": "{rater} さん用",
    "prompt": "質問・依頼",
    "role_system": "システム",
    "role_assistant": "アシスタント",
    "role_user": "ユーザー",
    "role_tool": "ツール",
    "side_left": "回答1",
    "side_right": "回答2",
    "side_answer": "元の回答",
    "side_revision": "修正版",
    "left": "1が良い",
    "right": "2が良い",
    "tie": "同じくらい",
    "bad": "どちらも悪い",
    "accept": "採用",
    "reject": "不採用",
    "skip": "とばす",
    "undo": "元に戻す",
    "note": "メモ",
    "help": "使い方",
    "save": "回答を保存",
    "save_csv": "CSVで保存",
    "close": "閉じる",
    "progress": "{total}件中{done}件",
    "time_left": "残り約{minutes}分",
    "voted": "{vote}。次は{total}件中{place}件目です。",
    "undone": "元に戻しました。{total}件中{place}件目です。",
    "nothing_to_undo": "元に戻せる回答はありません。",
    "noted": "メモあり",
    "note_for": "この組についてのメモ",
    "done": "{total}件すべてに回答しました",
    "done_next": "回答を保存し、そのファイルをこのページの送り主に返送してください。",
    "saved": "{count}件の回答をファイル {file} に保存しました。返送してください。",
    "not_kept": "このブラウザーは回答を保持できません（保存領域がいっぱい、または無効です）。"
    "ページを閉じたり再読み込みしたりせず、こまめに保存してください。",
    "evidence": "{decided}件で優劣がつきました。この件数なら、同じシステムが{share}%以上選ばれて"
    "いれば十分な根拠になります。どちらが優勢かは、このページにはわかりません。",
    "evidence_none": "{decided}件で優劣がつきました。まだ少なく、結果によらず根拠にはなりません。",
    "help_blind": "どのシステムがどの回答を書いたかは、このページにはわかりません。並び順は毎回"
    "抽選されます。どこにも送信されません。回答は、保存するまでこのブラウザーの中だけにあります。",
    "help_accept": "元の回答の代わりにそのまま使えるものを「採用」としてください。どこにも送信"
    "されません。回答は、保存するまでこのブラウザーの中だけにあります。",
}
WORDS: Mapping[str, Mapping[str, str]] = {"en": _EN, "ja": _JA}
