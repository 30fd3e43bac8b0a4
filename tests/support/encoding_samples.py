"""Short texts as people keep them in tables, and the encodings that their files may be in."""

# ruff: noqa: RUF001 - full-width punctuation is meant

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

JAPANESE = (
    ("日本の首都はどこですか？", "東京です。"),
    ("返品の期限を教えてください", "お届けから30日以内です。"),
    ("見積書を送ってもらえますか", "承知しました。本日中にお送りします。"),
    ("営業時間は？", "平日の9時から17時です"),
    ("株式会社と有限会社の違い", "有限会社は今は新しく作れません。"),
    ("請求書の宛名を変更したい", "管理画面の「設定」から変更できます。"),
    ("東京都港区", "郵便番号は105です"),
    ("領収書の発行", "可能です"),
    ("カードは使えますか", "はい、クレジットカードがご利用いただけます。"),
    ("送料無料の条件", "5,000円以上"),
)
KANJI_ONLY = (
    ("東京都港区", "合格"),
    ("株式会社山田商店", "取引先"),
    ("領収書発行", "可能"),
    ("営業時間変更", "未定"),
    ("返品期限", "三十日以内"),
    ("佐藤様", "配送済"),
    ("請求書再発行", "対応中"),
    ("送料無料", "五千円以上"),
    ("大阪府", "関西"),
    ("契約内容確認", "完了"),
)
HALF_WIDTH = (
    ("ﾃｽﾄ", "ｺﾞｳｶｸ"),
    ("ｶ)ﾔﾏﾀﾞｼｮｳﾃﾝ", "ﾄﾘﾋｷｻｷ"),
    ("ﾆﾎﾝ", "ﾄｳｷｮｳ"),
    ("ﾏﾝｼｮﾝ 101", "ﾐﾅﾄｸ"),
    ("ｻﾄｳ ｹﾝｼﾞ", "ｽﾐ"),
)
SYMBOLS = (
    ("①見積 ②発注", "㈱髙橋"),
    ("№5 ㈲山﨑", "Ⅲ期 50㎡"),
    ("手順①から③", "済"),
)
SIMPLIFIED = (
    ("中国的首都是哪里？", "北京。"),
    ("请问退货期限是多久", "收到商品后三十天之内。"),
    ("可以开发票吗", "可以，请填写公司名称。"),
    ("营业时间", "工作日九点到五点"),
    ("怎么修改收货地址", "在“我的订单”里修改。"),
    ("运费多少钱", "满一百元免运费"),
    ("你好", "您好，请问有什么可以帮您？"),
    ("我们公司的产品", "质量很好"),
)
TRADITIONAL = (
    ("台灣的首都是哪裡？", "臺北。"),
    ("請問退貨期限是多久", "收到商品後三十天之內。"),
    ("可以開發票嗎", "可以，請填寫公司名稱。"),
    ("營業時間", "工作日九點到五點"),
    ("怎麼修改收貨地址", "在「我的訂單」裡修改。"),
    ("運費多少錢", "滿一百元免運費"),
    ("你好", "您好，請問有什麼可以幫您？"),
    ("我們公司的產品", "品質很好"),
)
KOREAN = (
    ("한국의 수도는 어디입니까?", "서울입니다."),
    ("반품 기한을 알려 주세요", "받은 날부터 30일 이내입니다."),
    ("영업 시간은?", "평일 9시부터 5시까지"),
    ("안녕하세요", "무엇을 도와드릴까요?"),
    ("배송비", "무료"),
    ("회사 이름을 바꾸고 싶습니다", "설정에서 바꿀 수 있습니다."),
)
WESTERN = (
    ("Wie heißt die Hauptstadt von Österreich?", "Sie heißt Wien."),
    ("Où est la gare ?", "Elle est à côté de l'hôtel."),
    ("¿Cuál es el horario?", "De 9 a 17, de lunes a sábado, mañana también."),
    ("Schöne Grüße", "Ebenfalls"),
    ("Un café, s'il vous plaît", "Très bien"),
)

# Not used while the letters of each language were chosen: single words, the hardest case.
WORDS = {
    "cp932": (
        "渡邉 齋藤 橋本龍太郎 ㈱ABC テスト はい いいえ 晴れ 薔薇 憂鬱 猫 寿司 味噌汁 鮭 "
        "弁当 ガンダム ｶﾞｲｼｬ ｲｲｴ ｱﾘｶﾞﾄｳ ① 平成三十年 令和 沖縄県那覇市 札幌 横浜 熊本 "
        "鹿児島 処方箋 血圧 頭痛 契約解除 損害賠償 債権 株価 為替 離婚 裁判 消防 地震 雷 "
        "虹"
    ),
    "euc_jp": (
        "渡邉 橋本龍太郎 テスト はい 晴れ 薔薇 憂鬱 猫 寿司 鮭 弁当 ガンダム 平成三十年 "
        "札幌 横浜 熊本 鹿児島 処方箋 血圧 頭痛 契約解除 損害賠償 債権 株価 為替 離婚 "
        "裁判 消防 地震 雷 虹"
    ),
    "gb18030": (
        "猫 狗 天气很好 下雨了 汽车 火车站 医院在哪里 感冒 护照 签证 密码 登录失败 谢谢 "
        "再见 请稍等 中秋节 毕业 工资 面试 律师 警察 地铁"
    ),
    "cp950": (
        "貓 狗 天氣很好 下雨了 汽車 火車站 醫院在哪裡 感冒 護照 簽證 密碼 謝謝 再見 "
        "請稍等 中秋節 畢業 薪水 面試 律師 警察 捷運 飯店"
    ),
    "cp949": (
        "고양이 강아지 자동차 기차역 병원 감기 약국 여권 은행 비밀번호 추석 대학교 졸업 "
        "월급 회의 메일 면접 계약 변호사 경찰 택시 호텔"
    ),
    "cp1252": (
        "Straße über schön Mädchen Öl größer fünf café naïve garçon élève señor mañana "
        "París forêt œuvre"
    ),
}
NAMES = {
    "cp932": "CP932",
    "euc_jp": "EUC-JP",
    "gb18030": "GB18030",
    "cp950": "CP950",
    "cp949": "CP949",
    "cp1252": "CP1252",
}


@dataclass(frozen=True)
class Sample:
    """A file's text and the encoding it is kept in.

    Attributes:
        name: what it is, for a test's id.
        text: the whole file.
        codec: Python's name of the encoding.
        accepted: the names in iconv's spelling that convert it without loss.
    """

    name: str
    text: str
    codec: str
    accepted: tuple[str, ...]

    @property
    def content(self) -> bytes:
        return self.text.encode(self.codec)


_JAPANESE_SETS = {"ja": JAPANESE, "kanji": KANJI_ONLY, "half": HALF_WIDTH, "nec": SYMBOLS}
_ENCODINGS = (
    ("cp932", ("CP932",), _JAPANESE_SETS),
    ("euc_jp", ("EUC-JP", "EUC-JP-MS"), {"ja": JAPANESE, "kanji": KANJI_ONLY}),
    ("iso2022_jp", ("ISO-2022-JP",), {"ja": JAPANESE, "kanji": KANJI_ONLY}),
    ("gb18030", ("GB18030",), {"zh": SIMPLIFIED}),
    ("cp950", ("CP950",), {"tw": TRADITIONAL}),
    ("cp949", ("CP949",), {"ko": KOREAN}),
    ("cp1252", ("CP1252",), {"west": WESTERN}),
    ("utf-16", ("UTF-16LE",), {"ja": JAPANESE, "kanji": KANJI_ONLY, "west": WESTERN}),
    ("utf-16-le", ("UTF-16LE",), {"ja": JAPANESE, "kanji": KANJI_ONLY, "zh": SIMPLIFIED}),
    ("utf-16-be", ("UTF-16BE",), {"ja": JAPANESE, "half": HALF_WIDTH, "ko": KOREAN}),
)


def samples(rows: int) -> Iterator[Sample]:
    """Yield files of so many rows, in CSV and JSONL: of each encoding, from each row onwards."""
    for codec, accepted, sets in _ENCODINGS:
        for kind, texts in sets.items():
            for start in range(0, len(texts), rows):
                chosen = [texts[(start + index) % len(texts)] for index in range(rows)]
                name = f"{codec}-{kind}-{rows}-{start}"
                yield Sample(f"{name}-csv", _csv(chosen), codec, accepted)
                yield Sample(f"{name}-jsonl", _jsonl(chosen), codec, accepted)


def _csv(rows: list[tuple[str, str]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows([("prompt", "answer"), *rows])
    return file.getvalue()


def _jsonl(rows: list[tuple[str, str]]) -> str:
    made = [{"prompt": prompt, "answer": answer} for prompt, answer in rows]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
