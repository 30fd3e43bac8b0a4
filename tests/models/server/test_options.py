"""How conversations are rendered, role by role, and rows that a chat template refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tiny import CHATML, make_llama, make_tokenizer

from clairkit.batching.chat_settings import ChatSettings
from clairkit.errors import UsageError
from clairkit.evaluation import evaluate
from clairkit.generation.engine import make_models
from clairkit.generation.settings import BuildSettings
from clairkit.models.hf import HfModel
from clairkit.models.local import LocalModel
from clairkit.models.requests import AnswerRequest, Budget, Task
from clairkit.models.sampling import Failure, Reply, Sampling
from clairkit.models.server.model import OpenAIModel
from clairkit.models.server.request_body import parse_chat
from clairkit.models.specs import ModelOptions, make_model
from clairkit.records import Message, PromptRow
from clairkit.training.config_sources import resolve

THINKS = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
)
SHORT = Sampling(max_new_tokens=2)
SYSTEM = (Message(role="system", content="be brief"), Message(role="user", content="say"))
USER = SYSTEM[1:]


def model_folder(folder: Path, template: str, config: str = "") -> Path:
    tokenizer = make_tokenizer(template)
    tokenizer.save_pretrained(folder)
    make_llama(len(tokenizer)).save_pretrained(folder)
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


def task(key: str, prompt: tuple[Message, ...]) -> Task:
    return Task(key, prompt, AnswerRequest(prompt), SHORT)


def test_a_runs_own_settings_are_used_unless_others_are_given(tmp_path: Path) -> None:
    run = model_folder(tmp_path, THINKS, "chat_template_kwargs: {enable_thinking: false}\n")
    model = LocalModel.load(str(run))
    decode = model.tokenizer.decode
    assert decode(model._encoder.prompt(USER)).endswith("assistant\n<think>\n\n</think>\n\n")
    other = LocalModel.load(str(run), chat=ChatSettings({"enable_thinking": True}))
    assert decode(other._encoder.prompt(USER)).endswith("assistant\n")
    same, differs = HfModel(str(run)), HfModel(str(run), chat=ChatSettings({}))
    assert same.identity["chat_template_kwargs"] == {"enable_thinking": False}
    assert same.identity != differs.identity
    assert "chat_template_kwargs" not in differs.identity
    flags = {"model": str(run), "pairs": "p", "output": "o"}
    resolved = resolve(flags)
    assert resolved.config.chat_template_kwargs == {"enable_thinking": False}
    assert resolved.origins["chat_template_kwargs"] == "the model's run"
    assert resolve(flags, ["chat_template_kwargs={}"]).config.chat_template_kwargs == {}


def test_each_role_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["{enable_thinking: false}", "reviser={a: 1}"]
    chat = parse_chat(given, ("target", "reviser"), fold_system=True)
    options = ModelOptions(base_url="http://127.0.0.1:1/v1", chat=chat)
    assert options.chat_of("target") == ChatSettings({"enable_thinking": False}, None, True)
    assert options.chat_of("reviser") == ChatSettings({"a": 1}, None, True)
    models = make_models(BuildSettings(models=options), target="openai:m", reviser="openai:m")
    target, reviser = models["target"], models["reviser"]
    assert target is not reviser
    assert isinstance(target, OpenAIModel)
    body = target.body(task("0" * 16, SYSTEM))
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"] == [{"role": "user", "content": "be brief\n\nsay"}]
    plain = make_model("openai:m", ModelOptions(base_url="http://127.0.0.1:1/v1"))
    assert isinstance(plain, OpenAIModel)
    assert "chat_template_kwargs" not in plain.body(task("0" * 16, SYSTEM))
    assert "chat_template_kwargs" not in plain.identity


def test_template_arguments_are_given_once() -> None:
    chat = parse_chat(["{enable_thinking: false}"], ())[""]
    with pytest.raises(UsageError, match=r"kwargs is given twice: .*openai:m"):
        OpenAIModel("m", chat=chat, fields={"chat_template_kwargs": {}}, needs_key=False)


def test_a_date_is_a_text_to_a_template(tmp_path: Path) -> None:
    """Llama's templates take one; as a part of keys and requests it must be JSON."""
    dated = {"date_string": "2024-07-26"}
    assert parse_chat(["{date_string: 2024-07-26}"], ())[""].chat_template_kwargs == dated
    (tmp_path / "config.yaml").write_text("chat_template_kwargs: {date_string: 2024-07-26}\n")
    assert HfModel(str(tmp_path)).identity["chat_template_kwargs"] == dated


@pytest.mark.parametrize(
    "given", [["7"], ["{"], ["judge={a: 1}"], ["{a: 1}", "{b: 1}"], ["{1: 2}"]]
)
def test_what_is_no_mapping_or_names_no_role_is_refused(given: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_chat(given, ("target", "reviser"))


def test_a_row_that_a_template_refuses_fails_alone(tmp_path: Path) -> None:
    folder = str(model_folder(tmp_path, REFUSES + CHATML))
    model = HfModel(folder)
    tasks = [task("a", SYSTEM), task("b", USER)]
    refused, good = asyncio.run(model.complete(tasks, Budget()))
    assert isinstance(refused, Failure)
    assert (refused.reason, "no system role" in refused.detail) == ("template_refused", True)
    assert isinstance(good, Reply)
    folds = HfModel(folder, chat=ChatSettings(fold_system=True))
    assert all(isinstance(each, Reply) for each in asyncio.run(folds.complete(tasks, Budget())))

    def check(_prompt: Any, _answer: str, _row: Any) -> bool:
        return True

    rows = [PromptRow(SYSTEM, id="a"), PromptRow(USER, id="b")]
    found = evaluate(f"hf:{folder}", rows, check, SHORT)
    assert (found.successes, found.n, found.failures) == (1, 2, {"template_refused": 1})
