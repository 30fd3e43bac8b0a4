"""The page's words in Japanese."""

# ruff: noqa: RUF001 - full-width punctuation is meant

from __future__ import annotations

WORDS = {
    "title": "選好ペア",
    "overview": "概要",
    "pairs": "ペア",
    "training": "学習",
    "made_with": "clairkit {version} が {files} から作成しました。",
    "count": "ペア {pairs} 件",
    "typical": "両側で異なる文章の割合は中央値で {share} です（中央 80 % のペアでは {low} から "
    "{high}）。chosen の長さは rejected の {ratio} 倍です（中央値）。",
    "from_prompts": "プロンプト {rows} 件のうち {pairs} 件がペアになりました（{share}）。",
    "skipped": "読めずに除いた行: {counts}。",
    "distributions": "ペアの分布",
    "distributions_note": "棒はペアの数、破線は中央値です。",
    "lacking": "最大 {n} 件のペアには値がなく、除いて描いています。",
    "own_only": "このページ自身が計算した値だけを描いています。`clairkit score PAIRS -o SCORED` で"
    "モデルのトークン単位のスコアが加わります。",
    "histogram": "ペア {n} 件、中央値 {median}、80 % は {low} から {high} の間",
    "by_source": "作り方ごと",
    "source": "作り方",
    "median_of": "{name}の中央値",
    "funnel": "プロンプトからペアまで: {name}",
    "became_pair": "ペアになった",
    "unfinished": "未処理",
    "outcome": "結果",
    "rows": "行",
    "share": "割合",
    "flagged": "うちフラグ {code} 付きで残したもの",
    "examples": "例",
    "row": "行",
    "prompt": "プロンプト",
    "detail": "詳細",
    "costs": "かかったもの",
    "calls": "モデルの呼び出し",
    "tokens_prompt": "入力トークン",
    "tokens_completion": "出力トークン",
    "cost": "米ドル",
    "cost_pair": "1 ペアあたり米ドル",
    "unknown": "不明",
    "settings": "設定",
    "setting": "設定",
    "value": "値",
    "health": "添削モデルの健康診断: {state}",
    "finding": "項目",
    "interval": "95 % 区間",
    "threshold": "基準",
    "verdict": "判定",
    "figures_of": "学習: {name}",
    "run_facts": "ペア {pairs} 件、{steps} ステップ、{seconds} 秒",
    "no_script": "ペアの閲覧には JavaScript が必要です。上の内容はなくても読めます。",
    "sampled": "ここで見られるのは {total} 件中 {shown} 件のペア（id のハッシュで抽出）です。"
    "上の数値は全件のものです。",
    "search": "検索",
    "search_hint": "プロンプト、両側の文、理由、独自の列、id から",
    "column": "列 {name}",
    "token": "トークン",
    "grapheme": "書記素",
    "all": "すべて",
    "flag": "フラグ",
    "file": "ファイル",
    "sort": "並べ替え",
    "descending": "大きい順",
    "metric": "数値",
    "from": "以上",
    "to": "以下",
    "view": "表示",
    "side_by_side": "左右に並べる",
    "unified": "一つの文にまとめる",
    "found": "{total} 件中 {shown} 件",
    "more": "さらに {n} 件",
    "none": "条件に合うペアはありません。",
    "clear": "条件を消す",
    "rejected": "rejected（元の回答）",
    "chosen": "chosen（好ましい回答）",
    "rationale": "理由",
    "scores": "スコア",
    "provenance": "来歴とその他の列",
    "link": "このペアへのリンク",
    "fold": "変わらない {n} 文字",
    "fold_lines": "変わらない {n} 行",
    "same": "両側は同じです。",
    "flags": "フラグ",
    "previous": "前へ",
    "next": "次へ",
    "help": "キー操作",
    "close": "閉じる",
    "key_next": "次のペア",
    "key_previous": "前のペア",
    "key_search": "検索",
    "key_view": "左右に並べる／一つにまとめる",
    "key_open": "変わらない部分を開く",
    "key_help": "このキー一覧",
    "legend": "消えた文字は取り消し線、加わった文字は下線で示します。↵ は変わった改行です。",
    "list": "ペアの一覧",
    "no_such": "このページにペア {id} はありません。",
}

METRICS = {
    "changed_share": "文章の変更割合（文字）",
    "chosen_characters": "chosen の文字数",
    "rejected_characters": "rejected の文字数",
    "contrastiveness": "対比度",
    "length_balance": "長さの釣り合い",
    "overlap": "重なり（整理後）",
    "jaccard_set": "Jaccard（集合）",
    "jaccard_multiset": "Jaccard（多重集合）",
    "indel_similarity": "Indel 類似度",
    "edit_share_chosen": "chosen の編集割合",
    "edit_share_rejected": "rejected の編集割合",
    "edit_spans": "編集箇所の数",
    "span_length_mean": "編集箇所の平均の長さ",
    "span_length_max": "編集箇所の最大の長さ",
    "clean_edit_share_chosen": "chosen の編集割合（整理後）",
    "clean_edit_share_rejected": "rejected の編集割合（整理後）",
    "clean_edit_spans": "編集箇所の数（整理後）",
    "clean_span_length_mean": "編集箇所の平均の長さ（整理後）",
    "common_prefix_share": "共通の書き出しの割合",
    "length_ratio": "長さの比",
    "chosen_length": "chosen の長さ",
    "rejected_length": "rejected の長さ",
    "prompt_length": "プロンプトの長さ",
}

PHRASES = {
    # verdicts and states of the health card
    "healthy": "良好",
    "unhealthy": "不良",
    "undecided": "判定できず",
    "pass": "合格",
    "fail": "不合格",
    "not probed": "未検査",
    # the figures of a training run
    "Curves": "曲線",
    "Values": "値",
    "Loss": "損失",
    "Rewards": "報酬",
    "Log-likelihood": "対数尤度",
    "Where pairs went": "ペアの動き",
    "Chosen side, by token": "chosen 側（トークンごと）",
    "Rejected side, by token": "rejected 側（トークンごと）",
    "Accuracy and saturation": "正解率と飽和",
    "Distance from the reference": "参照モデルからの距離",
    "To act upon": "対処すること",
    "To know": "知っておくこと",
    "As it should be": "望みどおり",
    "Circles: held-out pairs.": "丸は検証用のペアです。",
    "Faint: each logged step; strong: running mean. Dotted across: no change, or chance.": (
        "薄い線は記録した各ステップ、濃い線は移動平均、点線は変化なし（または偶然）の水準です。"
    ),
    "The mean over pairs.": "ペアの平均です。",
    "Beta times the log-ratio to the reference, in nats. Above 0: likelier than under the "
    "reference. Margin: chosen minus rejected.": (
        "参照モデルとの対数比に beta を掛けた値（nat）。0 より上は参照モデルより出やすいこと、"
        "margin は chosen と rejected の差を示します。"
    ),
    "Log-prob of a whole response, in nats; longer responses lie lower.": (
        "応答全体の対数確率（nat）。長い応答ほど低くなります。"
    ),
    "Shares of training pairs. As wanted: chosen likelier and rejected less likely than under "
    "the reference; inverted: the opposite.": (
        "学習ペアの割合。as wanted は参照モデルに比べて chosen が出やすく rejected が出にくく"
        "なったもの、inverted はその逆です。"
    ),
    "Log-ratio to the reference in nats a token: inside edit spans, in what both sides share, "
    "and at the end of the turn.": (
        "参照モデルとの対数比（1 トークンあたり nat）。編集箇所、両側に共通の部分、"
        "発話の終わりです。"
    ),
    "The same for the rejected side.": "rejected 側について同じものです。",
    "Accuracy: share of pairs whose chosen side gained more. Saturated: share of sides beyond "
    "a reward of ±3.64, where APO has next to no gradient.": (
        "accuracy は chosen の伸びが大きいペアの割合、sat. は APO の勾配がほぼ消える"
        "報酬 ±3.64 を超えた側の割合です。"
    ),
    "Nats a token on rejected answers. An estimate of KL(reference || policy) where these are "
    "the reference's own, as in CLAIR pairs.": (
        "rejected での 1 トークンあたりの nat。CLAIR のように参照モデル自身の回答なら、"
        "KL(reference || policy) の推定値です。"
    ),
    "training step": "学習ステップ",
    "metric": "指標",
    "first": "最初",
    "last": "最後",
    "held out": "検証用",
}
"""What other modules say in English; what is not here stays English."""

REASONS = {
    "no_op": "添削しても回答が変わらない",
    "refusal": "モデルが断った",
    "refusal_flipped": "回答は断り、添削は主張している",
    "marker_leak": "依頼文や会話の記号が混ざっている",
    "meta_leak": "添削であることに触れている",
    "elided": "変わらない部分を省いている",
    "language_change": "別の言語になっている",
    "fence_broken": "コードブロックが壊れている",
    "truncated": "途中で切れている",
    "revision_mentioned": "元の回答の存在をほのめかしている",
    "length_inflation": "回答よりはるかに長い",
    "numbers_changed": "断りなく数値が変わった",
    "urls_changed": "断りなくリンクが変わった",
    "new_claims": "それまでにない事実が加わった",
    "injection_suspect": "添削モデルへの指示が混ざっている",
    "duplicate": "前の行と同じプロンプトと回答",
    "parse_error": "返答に完全な添削が一つだけ含まれない",
    "edit_failed": "編集指示が回答に合わない",
    "edit_share": "--max-edit-share を超えた変更",
    "length_changed": "長さが変わった（--length-neutral）",
    "answer_truncated": "回答がトークン上限で切れた",
    "answer_empty": "回答が空",
    "request_failed": "サーバーに届かない、または毎回失敗",
    "bad_request": "サーバーがこの行を拒んだ",
    "bad_response": "応答がチャット形式でない",
    "content_type": "応答が JSON でない",
    "unfinished": "サーバーが返答を途中で終えた",
    "too_large": "応答が大きすぎる",
    "too_long": "プロンプトがモデルの文脈長に収まらない",
    "template_refused": "モデルのチャットテンプレートがこの会話形式を受け付けない",
    "content_filter": "サーバーの内容フィルターが止めた",
    "tool_call": "モデルが回答せずにツールを呼んだ",
    "empty_reply": "モデルが何も答えなかった",
    "secret_echoed": "返答に送信したキーまたはパスワードが含まれる",
    "bad_unicode": "不正な文字（単独サロゲート）を含む",
    "function_error": "関数が例外を出したか、文字列を返さない",
    "same_answers": "選ぶべき回答がすべて同じ",
    "too_few_answers": "選ぶべき回答が二つに満たない",
    "judge_tie": "評価モデルが優劣をつけなかった",
    "judge_inconsistent": "順序を変えると評価モデルの選択が変わった",
    "verdict_unclear": "評価モデルの返答が一つの回答を示さない",
}
"""Why a row became no pair, by code; what is not here stays English."""
