"""What a request holds: the user's own fields, and what a server turned out not to take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import Request, Response, as_json, completion, error, revise, serving

from clairkit.cli.main import run
from clairkit.errors import ClairError, RemoteError, UsageError
from clairkit.generation import BuildResult
from clairkit.models.server.endpoint import find_endpoint
from clairkit.models.server.request_body import Adaptation, check_body, parse_body, with_fields
from clairkit.models.server.response import read_error
from clairkit.models.specs import ModelOptions, make_model

Build = Callable[..., BuildResult]
BODY = {"model": "m", "messages": [], "max_tokens": 9, "seed": 1, "temperature": 0.0, "top_p": 1.0}


def test_fields_are_json_or_text() -> None:
    found = parse_body(["a=1", 'b={"c": [true]}', "d=low", "e=null", 'f="1"', "g=x=y", "h="])
    assert found == {
        "a": 1,
        "b": {"c": [True]},
        "d": "low",
        "e": None,
        "f": "1",
        "g": "x=y",
        "h": "",
    }


@pytest.mark.parametrize(
    "field",
    [
        "a",
        "=1",
        "messages=[]",
        "model=x",
        "stream=true",
        "n=2",
        "api_key=x",
        "x-api-key=x",
        "password=1",
        "a=NaN",
        'headers={"Authorization": "Bearer x"}',
        'a=[{"api_key": "x"}]',
    ],
)
def test_fields_that_are_not_the_users_to_set(field: str) -> None:
    with pytest.raises(UsageError):
        parse_body([field])


def test_a_schema_may_ask_for_a_password() -> None:
    schema = {"properties": {"password": {"type": "string"}}, "required": ["password"]}
    check_body({"response_format": {"json_schema": schema}})


def test_fields_take_the_place_of_ours() -> None:
    found = with_fields(BODY, {"seed": None, "temperature": 0.3, "max_completion_tokens": 5})
    assert found == {
        "model": "m",
        "messages": [],
        "top_p": 1.0,
        "temperature": 0.3,
        "max_completion_tokens": 5,
    }
    assert with_fields(BODY, {}) == BODY


@pytest.mark.parametrize(
    ("said", "field", "becomes"),
    [
        (
            {
                "error": {
                    "message": "Unsupported parameter: 'max_tokens' is not supported with this "
                    "model. Use 'max_completion_tokens' instead.",
                    "param": "max_tokens",
                    "code": "unsupported_parameter",
                }
            },
            "max_tokens",
            "max_completion_tokens",
        ),
        (
            {
                "error": {
                    "message": "Unsupported value: 'temperature' does not support 0 with this "
                    "model.",
                    "param": "temperature",
                    "code": "unsupported_value",
                }
            },
            "temperature",
            None,
        ),
        (
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "seed"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
            "seed",
            None,
        ),
        (
            {
                "object": "error",
                "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]},
            },
            "seed",
            None,
        ),
        ({"error": {"message": "Unrecognized request argument supplied: seed"}}, "seed", None),
        ({"error": "`temperature` and `top_p` cannot both be specified"}, "top_p", None),
        ([{"error": {"message": "Unknown name seed: Cannot find field."}}], "seed", None),
    ],
)
def test_a_field_that_a_server_names_is_changed(said: Any, field: str, becomes: str | None) -> None:
    adaptation = Adaptation()
    news = adaptation.learn(read_error(said), BODY)
    assert news
    assert f"`{field}`" in news
    changed = adaptation.apply(BODY)
    assert field not in changed
    assert becomes is None or changed[becomes] == BODY[field]
    assert changed.keys() - BODY.keys() == ({becomes} if becomes else set())
    assert adaptation.learn(read_error(said), BODY) == ""  # another request was under way


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "max_tokens is too large: 9. This model takes at most 4."}},
        {"error": {"message": "Unsupported parameter: messages[0].role"}},
        {"error": {"message": "The seeds of this are unknown"}},
        {"error": {"message": "unsupported", "param": "model"}},
        {},
    ],
)
def test_what_names_no_field_changes_none(said: Any) -> None:
    adaptation = Adaptation()
    assert adaptation.learn(read_error(said), BODY) is None
    assert adaptation.apply(BODY) == BODY


def test_a_users_own_field_and_a_second_name_are_left_alone() -> None:
    refusal = read_error({"error": {"message": "unknown field seed"}})
    assert Adaptation(["seed"]).learn(refusal, BODY) is None
    adaptation = Adaptation()
    assert adaptation.learn(read_error({"error": "unsupported max_tokens"}), BODY)
    sent = adaptation.apply(BODY)
    assert (
        adaptation.learn(read_error({"error": "unsupported max_completion_tokens"}), sent) is None
    )


def picky(request: Request) -> Response:
    """Refuses a seed and max_tokens, one after the other."""
    if "seed" in request.body:
        return as_json({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, 422)
    if "max_tokens" in request.body:
        return error(400, "unsupported_parameter", "Unsupported parameter: 'max_tokens'")
    return revise(request)


NEWS = ("takes no `seed`", "takes `max_completion_tokens` in place of `max_tokens`")


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_run_learns_what_a_server_takes(build: Build, concurrency: int) -> None:
    with serving(picky) as server, pytest.warns(UserWarning, match="The server") as warned:
        result = build(server.url, rows=12, concurrency=concurrency)
    assert (result.pairs, result.calls) == (12, len(server.requests))
    said = [str(each.message) for each in warned if "The server" in str(each.message)]
    assert len(said) == 2
    assert all(news in text for news, text in zip(NEWS, said, strict=True))
    assert concurrency > 1 or len(server.requests) == 14
    assert server.requests[-1].body["max_completion_tokens"] == 4096


def test_a_field_that_must_stay_ends_the_run(build: Build) -> None:
    refusal = error(400, "unsupported_parameter", "Unsupported parameter: 'response_format'")
    with serving(lambda request: refusal) as server, pytest.raises(RemoteError, match="setting"):
        build(server.url, rows=3, concurrency=1)
    assert len(server.requests) == 1


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"id": "r", "prompt": "q"}))
    return file


@pytest.mark.parametrize("by_file", [False, True])
def test_fields_by_role(prompts: Path, tmp_path: Path, by_file: bool) -> None:
    given = [
        "build-pairs",
        str(prompts),
        "-o",
        "p.jsonl",
        "--target",
        "openai:m",
        "--reviser",
        "openai:m",
    ]
    fields = [
        "--body",
        "seed=null",
        "--target-body",
        'chat_template_kwargs={"enable_thinking": false}',
        "--reviser-body",
        "reasoning_effort=low",
    ]
    if by_file:
        (tmp_path / "c.yaml").write_text(
            "body: {seed: null}\n"
            "target_body:\n  chat_template_kwargs: {enable_thinking: false}\n"
            "reviser-body: reasoning_effort=low\n"
        )
        fields = ["--config", "c.yaml"]

    def script(request: Request) -> Response:
        is_target = "chat_template_kwargs" in request.body
        return completion("So.") if is_target else revise(request, lambda answer: f"{answer} Yes.")

    with serving(script) as server:
        assert run([*given, "--base-url", server.url, *fields]) == 0
    target, reviser = (request.body for request in server.requests)
    assert target["chat_template_kwargs"] == {"enable_thinking": False}
    assert (reviser["reasoning_effort"], "chat_template_kwargs" in reviser) == ("low", False)
    assert "seed" not in {*target, *reviser}


def test_fields_are_part_of_the_key_and_none_leave_it_as_it_was() -> None:
    options = ModelOptions(base_url="http://127.0.0.1:9/v1", body={"b": 1, "a": 2})
    assert make_model("openai:m", options).identity == {
        "kind": "openai",
        "model": "m",
        "body": '{"a": 2, "b": 1}',
    }
    plain = make_model("openai:m", ModelOptions(base_url="http://127.0.0.1:9/v1"))
    assert plain.identity == {"kind": "openai", "model": "m"}


def test_fields_for_a_model_without_a_server_are_refused() -> None:
    options = ModelOptions(reviser_body={"a": 1})
    assert make_model("python:reviser_functions:shout", options, role="target")
    with pytest.raises(UsageError, match="reviser_body holds fields"):
        make_model("python:reviser_functions:shout", options, role="reviser")


def test_other_fields_for_one_output_are_refused(
    prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts.write_text(json.dumps({"id": "r", "prompt": "q", "answer": "So."}))
    with serving(lambda request: revise(request, lambda answer: f"{answer} Yes.")) as server:
        given = [
            "build-pairs",
            str(prompts),
            "-o",
            "p.jsonl",
            "--reviser",
            "openai:m",
            "--base-url",
            server.url,
        ]
        assert run([*given, "--body", "reasoning_effort=low"]) == 0
        assert run([*given, "--body", "reasoning_effort=high"]) == 2
    assert "reviser.body" in capsys.readouterr().err


def test_a_command_says_once_what_it_learnt(
    prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": f"q{n}", "answer": "So."} for n in range(5)]
    prompts.write_text("\n".join(map(json.dumps, rows)))

    def script(request: Request) -> Response:
        if request.body.get("temperature", 1) != 1:
            message = "Unsupported value: 'temperature' does not support 0 with this model."
            return error(400, "unsupported_value", message)
        return revise(request, lambda answer: f"{answer} Yes.")

    with serving(script) as server:
        assert (
            run(
                [
                    "build-pairs",
                    str(prompts),
                    "-o",
                    "p.jsonl",
                    "--reviser",
                    "openai:m",
                    "--base-url",
                    server.url,
                ]
            )
            == 0
        )
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("takes no `temperature`") == 1
    assert "sampled at its own temperature, not at 0.0" in said


def test_evaluate_takes_fields(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_checks.py").write_text("def right(prompt, answer, row):\n    return True\n")
    with serving(lambda request: completion("So.")) as server:
        assert (
            run(
                [
                    "evaluate",
                    str(prompts),
                    "--model",
                    "openai:m",
                    "--base-url",
                    server.url,
                    "--check",
                    "python:own_checks:right",
                    "--body",
                    "seed=null",
                ]
            )
            == 0
        )
    assert "seed" not in server.requests[0].body


def test_azures_dated_interface(build: Build) -> None:
    with serving(revise) as server:
        place = server.url.replace("/v1", "/openai/deployments/gpt?api-version=2024-10-21")
        assert build(place).pairs == 1
    request = server.requests[0]
    assert request.path == "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == "planted-secret-4711"
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "query", ["api-version=1&api-key=x", "key=x", "api-version=", "x", "api-version=a%20b"]
)
def test_no_other_query_stands_in_an_address(query: str) -> None:
    with pytest.raises(ClairError, match="no query but api-version"):
        find_endpoint(f"https://x.example/v1?{query}")


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:8000/v1", True),
        ("http://localhost.:8000/v1", True),
        ("http://vllm.localhost/v1", True),
        ("http://127.0.0.2/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example/v1", False),
    ],
)
def test_which_servers_are_this_machine(url: str, is_here: bool) -> None:
    assert find_endpoint(url).is_loopback == is_here
