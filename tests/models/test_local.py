"""In-process sampling: right distribution, and one random stream a row."""

from __future__ import annotations

import inspect
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, make
from tiny import CHATML, make_llama, make_tokenizer
from transformers import GenerationConfig

from clairkit.errors import DataError, UsageError
from clairkit.models.gumbel import GumbelNoise, gumbel_noise, row_seed, sampling_processors
from clairkit.models.local import LocalModel
from clairkit.models.sampling import Sampling
from clairkit.records import Message


def has_amx() -> bool:
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"))


KEYS = [f"k{n}" for n in range(6)]
PROMPTS = [(Message(role="user", content="hello " * size),) for size in (1, 5, 3, 9, 2, 7)]
SHORT = Sampling(max_new_tokens=12)


@pytest.fixture
def local(llama: Any, tokenizer: Any) -> LocalModel:
    return LocalModel(llama, tokenizer, batch_size=4)


def test_a_row_does_not_depend_on_the_others(local: LocalModel) -> None:
    together = local.generate(PROMPTS, KEYS, SHORT)
    turned = local.generate(PROMPTS[::-1], KEYS[::-1], SHORT)[::-1]
    alone = [local.generate([p], [k], SHORT)[0] for p, k in zip(PROMPTS, KEYS, strict=True)]
    assert together == turned == alone
    assert len({reply.text for reply in together}) == len(PROMPTS)


def test_rows_come_and_go(local: LocalModel) -> None:
    """Rows that end at different times, in more rows than there are slots, each as it is alone."""
    local._end_ids = [2, *range(300, 320)]
    sampling = Sampling(max_new_tokens=30)
    count = 14
    prompts = [PROMPTS[at % len(PROMPTS)] for at in range(count)]
    keys = [f"row {at}" for at in range(count)]
    together = local.generate(prompts, keys, sampling)
    assert len({reply.completion_tokens for reply in together}) > 6
    assert {reply.finish_reason for reply in together} == {"stop", "length"}
    for prompt, key, reply in zip(prompts, keys, together, strict=True):
        assert local.generate([prompt], [key], sampling) == [reply]


@pytest.mark.parametrize("sampling", [SHORT, Sampling(temperature=0.7, top_k=9, top_p=0.9)])
def test_slots_and_plain_batches_give_the_same(local: LocalModel, sampling: Sampling) -> None:
    sampling = replace(sampling, max_new_tokens=12)
    slots = local.generate(PROMPTS, KEYS, sampling)
    assert local._has_slots is True
    local._has_slots = False
    assert local.generate(PROMPTS, KEYS, sampling) == slots


# A sliding window or a state is no list of tokens: such models run in plain batches.
FORGETFUL = {"Gemma2Config", "Gemma3TextConfig", "Mamba2Config", "FalconH1Config"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_in_slots_or_plain_batches(name: str, tokenizer: Any) -> None:
    room = "n_positions" if name == "GPT2Config" else "max_position_embeddings"
    model = make(name, vocab_size=512, **{room: 512})
    local = LocalModel(model, tokenizer, batch_size=4)
    sampling = Sampling(max_new_tokens=5)
    replies = local.generate(PROMPTS, KEYS, sampling)
    assert local._has_slots is (name not in FORGETFUL)
    local._has_slots = False
    assert local.generate(PROMPTS, KEYS, sampling) == replies


def test_a_halted_run_begins_no_further_row(local: LocalModel) -> None:
    begun = list(local.stream(PROMPTS, KEYS, SHORT, lambda: True))
    assert begun == []
    halted = iter([False, *[True] * 100])
    some = dict(local.stream(PROMPTS, KEYS, SHORT, lambda: next(halted)))
    assert 4 <= len(some) < len(PROMPTS)
    whole = local.generate(PROMPTS, KEYS, SHORT)
    assert all(whole[place] == reply for place, reply in some.items())


def test_key_and_seed_decide_the_sample(local: LocalModel) -> None:
    first = local.generate(PROMPTS[:1], ["a"], SHORT)
    assert local.generate(PROMPTS[:1], ["b"], SHORT) != first
    assert local.generate(PROMPTS[:1], ["a"], Sampling(max_new_tokens=12, seed=1)) != first


def test_temperature_0_is_the_argmax_of_plain_forward_passes(local: LocalModel) -> None:
    sampling = Sampling(temperature=0, max_new_tokens=6)
    for prompt, reply in zip(PROMPTS, local.generate(PROMPTS, KEYS, sampling), strict=True):
        ids = local._encoder.prompt(prompt)
        for token in reply.token_ids:
            logits = local.model(torch.tensor([ids])).logits[0, -1]
            assert token == int(logits.argmax())
            ids = [*ids, token]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.5, 0.25, 0.125, 0.125]),
        (Sampling(temperature=0.5), [16 / 22, 4 / 22, 1 / 22, 1 / 22]),
        (Sampling(top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(top_p=0.6), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=0.5, top_p=0.7), [1, 0, 0, 0]),
    ],
)
def test_the_samples_have_the_distribution_asked_for(
    sampling: Sampling, expected: list[float]
) -> None:
    rows = 4000
    scores = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log().expand(rows, 4)
    keys = [str(row) for row in range(rows)]
    processors = sampling_processors(sampling, keys, torch.device("cpu"))
    counts = Counter(processors(None, scores).argmax(-1).tolist())
    for token, share in enumerate(expected):
        error = 4 * math.sqrt(share * (1 - share) / rows)
        assert abs(counts[token] / rows - share) <= error


def test_the_noise_of_a_cpu_is_that_of_exponential_draws() -> None:
    likes = torch.zeros(2, 49_152)
    found = gumbel_noise(likes, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    for row, seed in zip(found, (1, 2), strict=True):
        draws = torch.empty(49_152).exponential_(generator=torch.Generator().manual_seed(seed))
        assert torch.equal(row, -draws.clamp_min(torch.finfo(torch.float32).tiny).log())


def test_each_row_has_its_own_stream() -> None:
    scores = torch.zeros(2, 8)
    together = GumbelNoise([1, 2], torch.device("cpu"))
    alone = GumbelNoise([2], torch.device("cpu"))
    for _ in range(3):
        assert torch.equal(together(None, scores)[1], alone(None, scores[:1])[0])
    assert row_seed(0, "a") != row_seed(1, "a")
    assert 0 <= row_seed(0, "a") < 2**63


def says(model: Any, tokens: list[int]) -> Callable[..., Any]:
    """A forward pass that makes these tokens after a prompt, one after the other."""
    plain = model.forward
    made = iter(tokens)

    def forward(*args: Any, **kwargs: Any) -> Any:
        output = plain(*args, **kwargs)
        if kwargs["input_ids"].shape[1] == 1:
            output.logits[:] = torch.nn.functional.one_hot(torch.tensor(next(made)), 512) * 1e4
        return output

    forward.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
    return forward


def test_the_reply_ends_at_the_end_token(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.generate(PROMPTS[:1], ["a"], Sampling(max_new_tokens=1))
    ids = local.tokenizer("so be it")["input_ids"]
    end = local.tokenizer.eos_token_id
    monkeypatch.setattr(local.model, "forward", says(local.model, [*ids, end, *ids]))
    (reply,) = local.generate(PROMPTS[:1], ["a"], SHORT)
    assert (reply.text, reply.finish_reason) == ("so be it", "stop")
    assert reply.token_ids == (*ids, end)
    assert reply.completion_tokens == len(ids) + 1
    assert reply.prompt_tokens == len(local._encoder.prompt(PROMPTS[0]))


def test_a_cut_reply_says_so(local: LocalModel) -> None:
    (reply,) = local.generate(PROMPTS[:1], ["a"], Sampling(temperature=0, max_new_tokens=3))
    assert (reply.finish_reason, len(reply.token_ids)) == ("length", 3)


def test_stop_texts_end_a_reply_and_are_not_part_of_it(local: LocalModel) -> None:
    (whole,) = local.generate(PROMPTS[:1], ["a"], Sampling(max_new_tokens=40))
    stop = next(character for character in whole.text[1:] if character.isalpha())
    (reply,) = local.generate(PROMPTS[:1], ["a"], Sampling(max_new_tokens=40, stop=(stop,)))
    assert reply.finish_reason == "stop"
    assert reply.text == whole.text[: whole.text.index(stop)]
    assert reply.completion_tokens < whole.completion_tokens


def test_the_models_own_settings_are_left_aside_and_left_alone(local: LocalModel) -> None:
    plain = local.generate(PROMPTS, KEYS, SHORT)
    own = GenerationConfig(repetition_penalty=5.0, do_sample=True, top_k=1, eos_token_id=2)
    local.model.generation_config = own
    for layer in local.model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    local.model.train()
    assert local.generate(PROMPTS, KEYS, SHORT) == plain
    assert local.model.generation_config is own
    assert local.model.training


def test_the_context_bounds_a_row_and_no_other(local: LocalModel) -> None:
    context = local.model.config.max_position_embeddings
    size = context - 4 - len(local._encoder.prompt((Message(role="user", content=""),)))
    long = (Message(role="user", content="\u00e9" * (size // 2) + "Q" * (size % 2)),)
    room = local.room(long)
    assert 0 < room < 12
    replies = local.generate([long, *PROMPTS], ["long", *KEYS], SHORT)
    assert replies[0].completion_tokens <= room
    assert replies[1:] == local.generate(PROMPTS, KEYS, SHORT)


def test_a_prompt_that_fills_the_context_is_refused(local: LocalModel) -> None:
    full = (Message(role="user", content="Q" * 600),)
    assert local.room(full) == 0
    with pytest.raises(DataError, match="leaves no room in a context of 512 tokens"):
        local.generate([full], ["a"], SHORT)


def test_loading(model_folder: Any, tmp_path: Any) -> None:
    loaded = LocalModel.load(str(model_folder), device="cpu")
    assert loaded.model.dtype == torch.float32
    assert loaded.generate(PROMPTS[:1], ["a"], SHORT)[0].completion_tokens > 0
    with pytest.raises(UsageError, match="can't be loaded"):
        LocalModel.load(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("unit", "expected"), [("amx_bf16", torch.bfloat16), ("avx512_bf16", torch.float32)]
)
def test_a_checkpoint_in_bfloat16_stays_so_where_batches_change_no_sum(
    unit: str,
    expected: torch.dtype,
    tokenizer: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_llama().to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {unit: True}, raising=False)
    assert LocalModel.load(str(tmp_path), device="cpu").model.dtype == expected
    half = LocalModel.load(str(tmp_path), device="cpu", dtype=torch.float16)
    assert half.model.dtype == torch.float16


@pytest.mark.skipif(not has_amx(), reason="the processor does not multiply bfloat16 by AMX")
def test_in_bfloat16_too_a_row_is_the_same_alone(tokenizer: Any) -> None:
    model = make_llama(hidden_size=64, head_dim=16).to(torch.bfloat16)
    local = LocalModel(model, tokenizer, batch_size=4)
    sampling = Sampling(max_new_tokens=60)
    together = local.generate(PROMPTS, KEYS, sampling)
    assert local._has_slots is True
    for prompt, key, reply in zip(PROMPTS, KEYS, together, strict=True):
        assert local.generate([prompt], [key], sampling) == [reply]


def test_a_model_like_smollm2(tokenizer: Any) -> None:
    """Tied head, padding that is the end token, a beginning that opens turns, a system prompt."""
    plain = LocalModel(make_llama(), tokenizer, batch_size=4)
    alike = make_tokenizer(
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nthe fox<|im_end|>\n"
        "{% endif %}" + CHATML
    )
    alike.pad_token, alike.bos_token = alike.eos_token, "<|im_start|>"
    tied = make_llama(tie_word_embeddings=True)
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    local = LocalModel(tied, alike, batch_size=3)
    assert local._encoder.prompt(PROMPTS[0]) != plain._encoder.prompt(PROMPTS[0])
    local._end_ids = [2, *range(300, 320)]
    sampling = Sampling(max_new_tokens=30, stop=("Q",))
    together = local.generate(PROMPTS, KEYS, sampling)
    local._has_slots = False
    assert local.generate(PROMPTS, KEYS, sampling) == together
    for reply in together:
        ended = reply.token_ids[-1] in local._end_ids
        assert ended or reply.finish_reason == "stop" or len(reply.token_ids) == 30
        assert not set(reply.token_ids[:-1]) & set(local._end_ids)


def test_broken_weights_are_named(model_folder: Any, tmp_path: Any) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UsageError, match=r"can't be loaded \(SafetensorError: "):
        LocalModel.load(str(folder))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"max_new_tokens": 0},
        {"stop": ("",)},
    ],
)
def test_sampling_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is out of range"):
        Sampling(**wrong)
