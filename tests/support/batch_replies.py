"""What OpenAI's Batch API makes of a file of requests, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fake_server import MARK

MARKS = "[[reasoning:{0}]]\nlouder\n[[revision:{0}]]\n{1}\n[[end:{0}]]"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def said(key: str, text: str) -> dict[str, Any]:
    """A line of a batch's output."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    body = {"object": "chat.completion", "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": key, "response": response, "error": None}


def failed(key: str, status: int | None, message: str) -> dict[str, Any]:
    """A line of a batch's error file; without a status nothing was asked."""
    if status is None:
        error = {"code": "batch_expired", "message": message}
        return {"id": "b", "custom_id": key, "response": None, "error": error}
    body = {"error": {"message": message, "code": None}}
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": key, "response": response, "error": None}


def answered(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a batch makes of a request: an answer to a question, or a louder revision."""
    text = request["body"]["messages"][-1]["content"]
    found = MARK.search(text)
    reply = MARKS.format(found[1], found[2].upper()) if found else f"an answer to {text}"
    return said(request["custom_id"], reply)
