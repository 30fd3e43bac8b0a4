"""Thoughts of targets, revisers and judges: split off wherever a reply comes in, and kept apart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from batch_replies import said, write
from chat_families import make_family
from driving import Named, drive
from fake_server import Request, Response, answer_in, completion, revise, serving
from outputs import journal_digest
from tiny import CHATML, make_llama

from clairkit.audit.fork import fork_journal
from clairkit.audit.merge import merge
from clairkit.audit.remove import remove
from clairkit.audit.verify import verify
from clairkit.evaluation import evaluate
from clairkit.generation import BuildSettings, ModelOptions, build_pairs
from clairkit.generation.batch.file import read_results
from clairkit.journal.results import Journal, JournalEntry, journal_path
from clairkit.judging.judge import Judge
from clairkit.models.function import PythonModel
from clairkit.models.local import LocalModel
from clairkit.models.outcomes import thoughts_apart, usable
from clairkit.models.sampling import Failure, Reply, Sampling
from clairkit.models.server.response import read_completion
from clairkit.records import Message, Pair, PromptRow, read_pairs
from clairkit.records.thoughts import parse_marks

QUESTION = (Message(role="user", content="What is 12 and 30?"),)
ANSWER = "The sum is 42. I hope this helps."
THOUGHT = "The user wants a sum."
BLOCKS = [
    f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}",
    f"{THOUGHT}\n</think>\n\n{ANSWER}",
    f"[THINK]{THOUGHT}[/THINK]{ANSWER}",
]


def cut_phrase(text: str) -> str:
    return text.replace(" I hope this helps.", "")


def script(target: Callable[[], Response]) -> Callable[[Request], Response]:
    """Answers as `target` does, revises what is to be revised, behind thoughts of its own."""

    def reply(request: Request) -> Response:
        if "[[answer:" not in request.body["messages"][-1]["content"]:
            return target()
        good = json.loads(revise(request, cut_phrase).body)["choices"][0]["message"]["content"]
        nonce = answer_in(request)[0]
        return completion(f"I must write [[revision:{nonce}]] here.\n</think>\n\n{good}")

    return reply


def made(folder: Path, target: Callable[[], Response], **options: Any) -> Any:
    with serving(script(target)) as server:
        models = ModelOptions(base_url=server.url, **options)
        return build_pairs(
            [PromptRow(QUESTION, id="row-0")],
            target="openai:t",
            reviser="openai:r",
            output=folder / "pairs.jsonl",
            settings=BuildSettings(models=models),
        )


@pytest.mark.parametrize("content", BLOCKS)
def test_a_pair_holds_the_answer_and_keeps_the_thoughts_as_provenance(
    tmp_path: Path, content: str
) -> None:
    made(tmp_path, lambda: completion(content))
    (pair,) = read_pairs(tmp_path / "pairs.jsonl")
    assert pair.rejected[0]["content"] == ANSWER
    assert pair.chosen[0]["content"] == "The sum is 42."
    assert pair.provenance["answer_thoughts"] == THOUGHT
    with closing(sqlite3.connect(journal_path(tmp_path / "pairs.jsonl"))) as database:
        kept = dict(database.execute("SELECT step, thoughts FROM results").fetchall())
    assert kept["answer"] == THOUGHT
    assert "I must write" in kept["revise"]
    assert verify(tmp_path / "pairs.jsonl").problems == []


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_in_a_field_of_the_message(tmp_path: Path, field: str) -> None:
    made(tmp_path, lambda: completion(ANSWER, **{field: THOUGHT}))
    (pair,) = read_pairs(tmp_path / "pairs.jsonl")
    assert (pair.rejected[0]["content"], pair.provenance["answer_thoughts"]) == (ANSWER, THOUGHT)


def body(content: Any, finish: str = "stop", **message: Any) -> Mapping[str, Any]:
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    return {"choices": [choice]}


def test_thoughts_in_parts_of_the_content() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
        {"type": "text", "text": ANSWER},
    ]
    assert read_completion(body(parts)) == Reply(ANSWER, thoughts=THOUGHT)


@pytest.mark.parametrize(
    "outcome",
    [
        Reply("<think>\nnever ends", "length"),
        Reply("<think>\nnever ends"),
        Reply("<think>\nends\n</think>\n"),
        Reply("", thoughts="in a field"),
        read_completion(body(None, reasoning_content="in a field")),
        read_completion(body("", "length", reasoning_content="in a field")),
    ],
)
def test_thoughts_without_an_answer_are_a_truncated_answer(outcome: Reply) -> None:
    found = usable(thoughts_apart(outcome))
    assert isinstance(found, Failure)
    assert (found.reason, bool(found.text)) == ("answer_truncated", True)


def test_thoughts_alone_are_quarantined(tmp_path: Path) -> None:
    result = made(tmp_path, lambda: completion("<think>\nnever ends"))
    assert (result.pairs, result.counts) == (0, {"answer_truncated": 1})


def test_given_answers_and_functions(tmp_path: Path) -> None:
    rows = [PromptRow(QUESTION, text, id=f"row-{n}") for n, text in enumerate(BLOCKS)]
    with serving(script(lambda: completion("unasked"))) as server:
        options = ModelOptions(base_url=server.url)
        build_pairs(
            rows,
            reviser="openai:r",
            output=tmp_path / "pairs.jsonl",
            settings=BuildSettings(models=options),
        )
    pairs = list(read_pairs(tmp_path / "pairs.jsonl"))
    assert {pair.rejected[0]["content"] for pair in pairs} == {ANSWER}
    assert {pair.provenance["answer_thoughts"] for pair in pairs} == {THOUGHT}
    model = PythonModel("reviser_functions:thoughtful")
    request = PromptRow(QUESTION)
    outcome = evaluate("python:reviser_functions:thoughtful", [request], _is_42, Sampling())
    assert (outcome.successes, outcome.rows[0].thoughts) == (1, THOUGHT)
    assert "thought_marks" not in model.identity


def _is_42(_prompt: Any, answer: str, _row: Any) -> bool:
    return answer == ANSWER


@pytest.mark.parametrize("content", BLOCKS)
def test_no_check_sees_thoughts(content: str) -> None:
    class Loaded:
        def generate(self, prompts: Any, keys: Any, sampling: Any) -> list[Reply]:
            return [Reply(content)]

    with serving(lambda _: completion(content)) as server:
        options = ModelOptions(base_url=server.url)
        for model in ("openai:t", Loaded()):
            found = evaluate(model, [PromptRow(QUESTION)], _is_42, Sampling(), options=options)
            assert found.successes == 1
            assert found.rows[0].to_json()["thoughts"] == THOUGHT
    with serving(lambda _: completion("<think>\nno end", "length")) as server:
        options = ModelOptions(base_url=server.url)
        found = evaluate("openai:t", [PromptRow(QUESTION)], _is_42, Sampling(), options=options)
        assert (found.successes, found.failures) == (0, {"answer_truncated": 1})


def test_marks_are_of_choice_and_part_of_keys_and_settings(tmp_path: Path) -> None:
    content = f"<plan>{THOUGHT}</plan>{ANSWER}"
    made(
        tmp_path / "own", lambda: completion(content), thought_marks=parse_marks(["<plan> </plan>"])
    )
    (pair,) = read_pairs(tmp_path / "own" / "pairs.jsonl")
    assert pair.rejected[0]["content"] == ANSWER
    assert pair.provenance["target"]["thought_marks"] == [["<plan>", "</plan>"]]
    made(tmp_path / "none", lambda: completion(BLOCKS[0]), thought_marks=parse_marks(["none"]))
    (pair,) = read_pairs(tmp_path / "none" / "pairs.jsonl")
    assert pair.rejected[0]["content"] == BLOCKS[0]


def test_a_judges_thoughts_hold_no_verdict() -> None:
    row = PromptRow(QUESTION)

    def say(call: Any) -> str:
        nonce = call.task.messages[-1]["content"].split("[[tie:")[1][:8]
        return f"Perhaps [[A:{nonce}]] or [[tie:{nonce}]].\n</think>\n\n[[B:{nonce}]]"

    (judgement,), _ = drive(Judge(Named()).compare(row, [("a", "b")], stage=0), say)
    assert judgement.verdicts == ("second", "first")


def test_results_of_a_batch(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", [said("k", BLOCKS[0])])
    ((_, outcome),) = read_results(path)
    assert thoughts_apart(outcome) == Reply(
        ANSWER, prompt_tokens=1000, completion_tokens=100, thoughts=THOUGHT
    )


def old_journal(output: Path) -> None:
    """Take the column of thoughts away again, as journals of before have none."""
    with closing(sqlite3.connect(journal_path(output))) as database:
        database.execute("ALTER TABLE results DROP COLUMN thoughts")
        database.commit()


def test_a_journal_of_before_gets_the_column_and_its_seal_holds(tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    made(tmp_path, lambda: completion("plain"))
    with closing(sqlite3.connect(journal_path(output))) as database:
        database.execute("UPDATE results SET thoughts = NULL")
        database.commit()
    old_journal(output)
    sealed = journal_digest(journal_path(output))
    assert sealed["results"] == 2
    with closing(Journal(output)) as journal:
        assert journal_digest(journal_path(output)) == sealed
        journal.write([JournalEntry("b", "answer", "m", Reply("x", thoughts="t"))])
        found = journal.latest("b", "answer")
        assert found is not None
        assert found.outcome == Reply("x", thoughts="t")
    assert journal_digest(journal_path(output), 2) == sealed
    with closing(sqlite3.connect(journal_path(output))) as database:
        before = journal_digest(journal_path(output))
        database.execute("UPDATE results SET thoughts = 'other' WHERE key = 'b'")
        database.commit()
    assert journal_digest(journal_path(output)) != before


def test_results_of_before_are_split_where_they_are_used(tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    made(tmp_path, lambda: completion(BLOCKS[0]))
    with closing(sqlite3.connect(journal_path(output))) as database:
        database.execute("UPDATE results SET text = ? WHERE step = 'answer'", (BLOCKS[0],))
        database.commit()
    old_journal(output)
    for path in tmp_path.glob("pairs.jsonl*"):
        if "journal" not in path.name:
            path.unlink()
    made(tmp_path, lambda: completion("unasked"))
    (pair,) = read_pairs(output)
    assert (pair.rejected[0]["content"], pair.provenance["answer_thoughts"]) == (ANSWER, THOUGHT)


def test_forks_merges_and_removals_take_thoughts_along(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made(tmp_path / name, lambda: completion(BLOCKS[0]))
    old = tmp_path / "one" / "pairs.jsonl"
    fork_journal(old, tmp_path / "fork.jsonl")
    assert THOUGHT.encode() in journal_path(tmp_path / "fork.jsonl").read_bytes()
    merge([old], tmp_path / "merged.jsonl")
    assert THOUGHT.encode() in journal_path(tmp_path / "merged.jsonl").read_bytes()
    remove(tmp_path / "merged.jsonl", ["row-0"])
    assert THOUGHT.encode() not in journal_path(tmp_path / "merged.jsonl").read_bytes()
    assert THOUGHT.encode() not in (tmp_path / "merged.jsonl").read_bytes()


class Scripted:
    """A model that goes on with the same ids, whatever it is given."""

    def __init__(self, ids: list[int], like: Any) -> None:
        self.ids = ids
        self.device, self.training = torch.device("cpu"), False
        self.config, self.generation_config = like.config, like.generation_config

    def eval(self) -> None: ...

    def train(self, mode: bool) -> None: ...

    def forward(self) -> None: ...  # takes no positions: its rows are not put into slots

    def generate(self, input_ids: Any, **_: Any) -> Any:
        return torch.cat([input_ids, torch.tensor([self.ids] * len(input_ids))], dim=1)


OPENS = CHATML.replace(
    "<|im_start|>assistant\n{% endif", "<|im_start|>assistant\n<think>\n{% endif"
)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(
    ("template", "text", "answer", "thoughts"),
    [
        (CHATML, "See <|ref|>1<|end_ref|>.", "See <|ref|>1<|end_ref|>.", None),
        (CHATML, "<think>\nhm\n</think>\n\n42", "42", "hm"),
        (OPENS, "use </think> 42", "42", "use"),
        (OPENS, "never ends", "", "never ends"),
    ],
)
def test_a_local_model_keeps_special_tokens_that_are_content(
    template: str, text: str, answer: str, thoughts: str | None, special: bool
) -> None:
    tokenizer = make_family("qwen", template)
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    ids = tokenizer(text + "<|im_end|>", add_special_tokens=False)["input_ids"]
    model = LocalModel(
        Scripted([*ids, tokenizer.pad_token_id], make_llama(len(tokenizer))), tokenizer
    )
    (reply,) = model.generate([QUESTION], ["k"], Sampling(max_new_tokens=40))
    assert (reply.text, reply.thoughts) == (answer, thoughts)
    assert reply.token_ids == tuple(ids)


def test_what_was_generated_is_what_is_trained_on() -> None:
    """Ids of a reply, its text in a file, and its ids in training are the same."""
    from clairkit.batching import ChatEncoder, encode_pairs

    tokenizer = make_family("qwen", CHATML)
    encoder = ChatEncoder(tokenizer)
    for text in ("See <|ref|>1<|end_ref|>.", "<tool_call>\n{}\n</tool_call>", " a  b\n\n日本\n"):
        ids = tokenizer(text + "<|im_end|>", add_special_tokens=False)["input_ids"]
        model = LocalModel(Scripted(ids, make_llama(len(tokenizer))), tokenizer)
        (reply,) = model.generate([QUESTION], ["k"], Sampling(max_new_tokens=40))
        side = (Message(role="assistant", content=reply.text),)
        other = (Message(role="assistant", content="other"),)
        row = json.loads(json.dumps(Pair(QUESTION, other, side).to_json()))
        pair = Pair(tuple(row["prompt"]), tuple(row["chosen"]), tuple(row["rejected"]))
        (encoded,) = encode_pairs([pair], encoder).pairs
        assert tuple(encoded.rejected_ids) == reply.token_ids
        assert encoded.prompt_ids == encoder.prompt(QUESTION)
