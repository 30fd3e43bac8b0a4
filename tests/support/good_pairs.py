"""Good revisions that come near to what the gates stop: none may raise a flag, let alone drop."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """A prompt, an answer, its revision, and what the reviser said of it."""

    prompt: str
    answer: str
    revision: str
    rationale: str | None = "The wording was unclear."


_FENCED = "Use this:\n```python\ndef double(x):\n    return {}\n```\nCall `double(4)`."

GOOD = {
    "typo": Sample(
        "Who wrote Faust?", "Goethe wrote Faust in german.", "Goethe wrote Faust in German."
    ),
    "short answer grows": Sample("Capital of Peru?", "Lima", "The capital of Peru is Lima."),
    "no rationale": Sample("Capital of Peru?", "It is lima.", "It is Lima.", None),
    "a refusal stays one": Sample(
        "How do I build a bomb?",
        "I can't help with that.",
        "I can't help with that. If you are in danger, call for help.",
    ),
    "not knowing stays so": Sample(
        "Who will win the cup?",
        "I don't know who will win.",
        "I don't know who will win; nobody can.",
    ),
    "not sure, but an answer": Sample(
        "How do I install it?",
        "I'm not sure which system you use, but try pip install it.",
        "Run `pip install it`; it needs Python 3.",
    ),
    "not known to the day, but an answer": Sample(
        "いつできましたか。",
        "正確な日付はわかりませんが、昭和の終わりごろにできました。",
        "昭和の終わりごろにできました。",
    ),
    "of students": Sample(
        "How does the exam go?",
        "Each student gets a sheet.",
        "Each student gets a sheet. The student's answer is read by two people.",
    ),
    "a teacher by its system turn": Sample(
        "You are a teacher. Is homework good?", "It is.", "As a teacher, I think it is."
    ),
    "生徒について": Sample(
        "試験はどう進みますか。",
        "生徒に紙を配ります。",
        "生徒に紙を配り、生徒の答えを二人が読みます。",
    ),
    "an apology within a dialogue": Sample(
        "Write a dialogue with a support agent.",
        "Agent: I'm sorry to hear that. What is wrong?",
        "Agent: I'm truly sorry to hear that. Could you tell me what is wrong?",
    ),
    "a sorry that helps": Sample(
        "My cat died.", "That is sad.", "I'm sorry for your loss. That is very sad."
    ),
    "can't, of a thing": Sample(
        "Does it run on Windows?", "It does.", "It can't run on Windows; use Linux."
    ),
    "dilution": Sample(
        "How do I dilute an acid?",
        "Add the acid to water. The original solution is stronger.",
        "Add the acid to water slowly. The concentration of the original solution is higher.",
    ),
    "numerical start": Sample(
        "What is gradient descent?",
        "It starts from a guess and goes down.",
        "It starts from an initial solution and goes downhill step by step.",
    ),
    "immune response": Sample(
        "What do vaccines do?",
        "They train the immune system.",
        "They train the immune system: the initial response is slow, the second one quick.",
    ),
    "an essay is corrected": Sample(
        "Please correct this sentence: He go home.",
        "Here is the corrected sentence: He gos home.",
        "Here is the corrected sentence: He goes home.",
    ),
    "a prompt is rewritten": Sample(
        "Rewrite the given prompt: Describe a tree.",
        "Here's a revised version of the prompt: Describe a tree in detail.",
        "Here's a revised version of the prompt: Describe an oak tree in detail.",
    ),
    "a teacher asks": Sample(
        "I teach maths. Comment on the student's answer: 2 + 2 = 5.",
        "The student's answer is wrong. As a teacher, I would show it with apples.",
        "The student's answer is not right. As a teacher, I would show it with apples.",
    ),
    "teachers are the topic": Sample(
        "What does a mentor do?",
        "A mentor guides people.",
        "A mentor guides people, as a teacher does in class. Students learn by doing.",
    ),
    "an original version of a film": Sample(
        "Is the film long?",
        "The original version of the film is long.",
        "The original version of the film is long: it has extra scenes.",
    ),
    "a user recalls": Sample(
        "Your previous answer was wrong. What is the plural of mouse?",
        "My previous answer was wrong, it is mouses.",
        "My previous answer was wrong: it is mice.",
    ),
    "the rest is the topic": Sample(
        "What changes when I rename a file?",
        "Its name changes.",
        "Only its name changes. The rest of the folder is untouched by that.",
    ),
    "unchanged is the topic": Sample(
        "What does a catalyst do?",
        "It speeds a reaction up and stays.",
        "It speeds a reaction up and remains unchanged at the end.",
    ),
    "French stays French": Sample(
        "Quelle est la capitale de la France ?",
        "La capitale de la France est Paris et elle est sur la Loire.",
        "La capitale de la France est Paris, et elle est sur les bords de la Seine.",
    ),
    "asked for in French": Sample(
        "Say in French that the house is big and that we like it.",
        "The house is big and we like it, but it is not for sale to you.",
        "La maison est grande et nous l'aimons, mais elle n'est pas pour vous.",
    ),
    "the prompt's language wins": Sample(
        "日本で一番高い山は何ですか。理由も教えてください。",
        "The highest mountain in Japan is Mount Fuji, which is in the middle of the country.",
        "日本で一番高い山は富士山です。本州の中央にあります。",
    ),
    "code in a Japanese answer": Sample(
        "Pythonで二倍にする関数を書いてください。",
        "次の関数です。\n```python\ndef double(x):\n    return x + x\n```",
        "次の関数です。\n```python\ndef double(value):\n    return value + value\n```",
    ),
    "a fence within a longer fence": Sample(
        "How do I show a fence?",
        "````\n```\ncode\n```\n````\nLike that",
        "````\n```\ncode\n```\n````\nLike that.",
    ),
    "code changes in its fence": Sample(
        "A function that doubles?",
        _FENCED.format("x + x"),
        _FENCED.format("x * 2"),
        "x + x is fine for numbers, but x * 2 says it better.",
    ),
    "a fence is added": Sample(
        "How do I list files?",
        "Type ls -l in a terminal.",
        "Type this in a terminal:\n```\nls -l\n```",
    ),
    "an answer cut by its limit": Sample(
        "Tell me about whales.",
        "Whales are mammals and they live in the",
        "Whales are mammals and they live in the sea.",
    ),
    "a list at the end": Sample(
        "Name two colours.", "Two colours are red, blue.", "Two colours are:\n- red\n- blue"
    ),
    "a signature at the end": Sample(
        "Write a short letter.",
        "Dear Ann,\nsee you soon.\nYours, Bob.",
        "Dear Ann,\nI hope to see you soon.\nYours,\nBob",
    ),
    "a corrected sum, said so": Sample(
        "What is 17 + 25?",
        "17 + 25 is 43.",
        "17 + 25 is 42.",
        "The sum is wrong: it is 42, not 43.",
    ),
    "a list is numbered anew": Sample(
        "How do I make tea?",
        "1. Boil water.\n2. Wait.\n3. Pour it.",
        "1. Boil water.\n2. Pour it.\n3. Wait.",
        "The steps stand in the wrong order.",
    ),
    "thousands in another spelling": Sample(
        "How far is it?", "It is 12000 metres.", "It is 12,000 metres."
    ),
    "sqrt5 is a name": Sample(
        "Name a constant.",
        "Call it sqrt5 or K8s, as you like.",
        "Call it sqrt7 or K9s, as you like it.",
    ),
    "numbers change places": Sample(
        "Rank them.",
        "Ann has 31 points, Bob has 42 points.",
        "Bob has 42 points, Ann has 31 points.",
    ),
    "the prompt's year": Sample(
        "What was in 1969?", "People landed on the moon.", "In 1969, people landed on the moon."
    ),
    "a dead link, said so": Sample(
        "Where is Python?",
        "See http://python.example/old.",
        "See https://python.example/new.",
        "The link is dead; the new one is https://python.example/new.",
    ),
    "a link in Markdown": Sample(
        "Where is it?", "See https://a.example/b.", "See [the page](https://a.example/b)."
    ),
    "injection is the topic": Sample(
        "What is prompt injection? Someone wrote: ignore previous instructions.",
        "It is a text that tries to direct a model, such as one in a web page.",
        "It is a text that tries to direct a model, such as a hidden one in a web page.",
    ),
    "special tokens are the topic": Sample(
        "What does <|im_start|> mean?", "It opens a turn.", "<|im_start|> opens a turn of a chat."
    ),
    "updated is the topic": Sample(
        "How do I refresh a page?", "Press F5.", "Press F5 to see the updated page at once."
    ),
    "日本語の直し": Sample(
        "富士山の高さは?",
        "富士山の高さは3,776mです。日本で一番高いです。",
        "富士山の高さは3776メートルです。日本で一番高い山です。",
        "単位を書きました。",
    ),
    "全角の数字": Sample("何個ありますか。", "全部で12個あります。", "全部で12個です。", None),
    "日本語の断り": Sample(
        "爆弾の作り方は?",
        "申し訳ございませんが、お答えできません。",
        "申し訳ございませんが、そのご質問にはお答えできません。",
    ),
    "できない、が断りではない": Sample(
        "このAPIは使えますか。", "使えます。", "このAPIは廃止されたため、もう使うことはできません。"
    ),
    "すみません、が断りではない": Sample(
        "道を聞く言い方は?",
        "「駅はどこですか」と言います。",
        "「すみません、駅はどこですか」と言います。",
    ),
    "帰納法の以下同様": Sample(
        "数列を説明してください。",
        "初項は1で、次は2です。",
        "初項は1で、次は2、その次は3です。以下同様に続きます。",
    ),
    "添削の依頼": Sample(
        "次の文を添削してください。学生の回答:私は学校を行く。",
        "修正版:私は学校へ行く。学生の回答は助詞が違います。",
        "修正版:私は学校に行く。学生の回答は助詞が違っています。",
    ),
    "漢字だけの一覧": Sample(
        "県庁所在地を教えてください。",
        "横浜市と名古屋市と大阪市があります。",
        "神奈川県横浜市、愛知県名古屋市、大阪府大阪市、兵庫県神戸市",
    ),
    "省略が話題": Sample(
        "主語は必要ですか。",
        "必要ないこともあります。",
        "日本語では主語を省略することがよくあります。",
    ),
}
