"""Models that are nowhere are named at once; the libraries' retries are not waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from clairkit import hub_access
from clairkit.errors import RemoteError, UsageError
from clairkit.hub_access import check_hub_answers, check_model_there


class Session:
    """Stands for the Hub's HTTP session."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked: list[Any] = []

    def head(self, url: str, timeout: float) -> None:
        self.asked.append((url, timeout))
        if self.error is not None:
            raise self.error


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Session:
    session = Session(OSError("Name or service not known"))
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: session)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    hub_access._hub_answers.cache_clear()
    return session


@pytest.fixture(autouse=True)
def _no_answer_is_kept() -> Any:
    yield
    hub_access._hub_answers.cache_clear()


def test_a_folder_is_there_and_nobody_is_asked(hub: Session, tmp_path: Path) -> None:
    check_model_there(str(tmp_path))
    assert hub.asked == []


@pytest.mark.parametrize("name", ["./nosuch", "/no/such", "a/b/c", "what is this", "C:\\model"])
def test_a_path_that_is_not_there_is_no_name_of_a_model(hub: Session, name: str) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        check_model_there(name)
    assert hub.asked == []


def test_a_near_folder_is_suggested_and_a_file_refused(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    with pytest.raises(UsageError, match=r"my-model\?"):
        check_model_there(str(tmp_path / "my-modle"))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UsageError, match="the model is a file"):
        check_model_there(str(tmp_path / "model.safetensors"))


def test_a_hub_that_does_not_answer_is_asked_once(hub: Session) -> None:
    for _ in range(2):
        with pytest.raises(RemoteError, match="nosuch/model is neither here nor in the cache"):
            check_model_there("nosuch/model")
    assert [timeout for _, timeout in hub.asked] == [1.5]


def test_a_cached_model_is_taken_without_the_hub(
    hub: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: "/cache/config.json")
    check_model_there("org/model")
    assert constants.HF_HUB_OFFLINE is True  # so that no library asks, and asks again


def test_a_hub_that_answers_is_left_to_the_library(hub: Session) -> None:
    hub.error = None
    check_model_there("org/model")
    check_hub_answers("the data set")
    assert constants.HF_HUB_OFFLINE is False


def test_offline_by_wish_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="unset HF_HUB_OFFLINE"):
        check_model_there("nosuch/model")
