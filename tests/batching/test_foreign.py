"""Turns within a side that the model does not write: found, masked, or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
import trl
from chat_families import make_family
from tiny import CHATML

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.batching.collate import PairCollator
from clairkit.batching.encode import encode_pair
from clairkit.errors import DataError
from clairkit.records import Message, Pair
from clairkit.training.data import TrainingCollator, TrainingPairs
from clairkit.training.masks import weights_of

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
CALL = '<tool_call>\n{"name": "look"}\n</tool_call>'


def turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


USER = turn("user", "weather?")
SIDE = (turn("assistant", CALL), turn("tool", "12 C"), turn("assistant", "It is 12."))
TOOLS = Pair((USER,), SIDE, (turn("assistant", "It is warm."),))


@pytest.mark.parametrize(
    ("family", "template"),
    [
        ("qwen", "qwen3.jinja"),
        ("qwen", "qwen2_5.jinja"),
        ("qwen", "qwen3_5_think.jinja"),
        ("qwen", None),
    ],
)
def test_only_the_assistants_turns_count(family: str, template: str | None) -> None:
    text = CHATML if template is None else (TEMPLATES / template).read_text(encoding="utf-8")
    tokenizer = make_family(family, text)
    encoder = ChatEncoder(tokenizer)
    pair = encode_pair(TOOLS, encoder, Counter(), assistant_only=True)
    assert pair is not None
    ((start, end),) = pair.foreign[0]
    assert pair.foreign[1] == ()
    decode = tokenizer.decode
    assert decode(pair.chosen_ids[:start]).endswith(f"{CALL}<|im_end|>")
    assert "12 C" in decode(pair.chosen_ids[start:end])
    assert decode(pair.chosen_ids[start:end]).endswith(("assistant\n", "assistant\n<think>\n"))
    assert decode(pair.chosen_ids[end:]).endswith("It is 12.<|im_end|>")
    assert "12 C" not in decode(pair.chosen_ids[:start] + pair.chosen_ids[end:])
    whole = encode_pair(TOOLS, encoder, Counter())
    assert whole is not None
    assert (whole.foreign, whole.chosen_ids) == (((), ()), pair.chosen_ids)


def test_a_batch_gives_them_no_weight() -> None:
    encoder = ChatEncoder(make_family("qwen", CHATML))
    pairs = encode_pairs([TOOLS], encoder, assistant_only=True).pairs
    data = TrainingPairs(pairs)
    sizes = len(pairs[0].chosen_ids), len(pairs[0].rejected_ids)
    data.reference = [(torch.ones(sizes[0]), torch.ones(sizes[1]))]
    batch = TrainingCollator(PairCollator(0))([data[0]])
    ((start, end),) = pairs[0].foreign[0]
    (part,) = batch["parts"]
    assert part.weights.sum() == sum(sizes) - (end - start)
    assert part.ref_sums.tolist() == [sizes[0] - (end - start), sizes[1]]
    edited = torch.ones(3, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    chosen, rejected = weights_of("all", 0.1, edited, (((1, 2),), ()))
    assert (chosen.tolist(), rejected.tolist()) == ([1, 0, 1], [1, 1])


def test_a_template_that_renders_turns_otherwise_is_refused() -> None:
    """It forgets all turns but the last two."""
    template = CHATML.replace("for message in messages", "for message in messages[-2:]")
    encoder = ChatEncoder(make_family("qwen", template))
    side = (*SIDE, turn("user", "and now?"), turn("assistant", "It is 13."))
    pair = Pair((USER,), side, (turn("assistant", "x"),))
    with pytest.raises(DataError):
        encode_pairs([pair], encoder, assistant_only=True)
