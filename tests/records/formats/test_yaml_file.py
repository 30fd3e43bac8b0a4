"""YAML as people write it, and as they write it by mistake."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clairkit.records.formats.yaml_file import YamlProblem, load_yaml, read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_what_yaml_writes_is_read_as_yaml_reads_it(value: object) -> None:
    text = yaml.safe_dump(value)
    assert load_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice, first in line 1"),
        ("a: {b: 1, b: 2}", "line 1: the key 'b' is there twice"),
        ("a:\n\tb: 1", "line 2: a tab can't indent"),
        ("a: !!python/object/apply:os.system [x]", "line 1: tags such as"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("a: *b", "line 1: an alias names nothing"),
        ("a: &a [*a]", "line 1: a value holds itself"),
        ("[" * 60, "line 1: "),
        ("[" * 40_000, "nested more than 50 deep"),
        ("a: " + "[" * 51 + "]" * 51, "nested more than 50 deep"),
        ("a: 2024-99-99", "month must be"),
        ("a: " + "9" * 5_000, "digits"),
        ("a: \x07", "special characters"),
        ("? [a]\n: b", "line 1: a key must be a plain text"),
        ("a: 'x", "line 1: "),
        (BOMB, "more than 10,000 values"),
        ("m: &m {a: 1}\nx: {<<: [" + ", ".join(["*m"] * 20_000) + "]}", "10,000 values"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text: str, message: str) -> None:
    with pytest.raises(YamlProblem, match=message) as caught:
        load_yaml(text)
    assert "\n" not in str(caught.value)


def test_aliases_and_merges_are_read() -> None:
    text = "base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  b: 3\n"
    assert load_yaml(text)["own"] == {"a": 1, "b": 3}


def test_a_bomb_takes_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(YamlProblem):
        load_yaml(BOMB)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("\ufeffa: ä\n".encode())
    assert read_yaml(path) == {"a": "ä"}
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(YamlProblem, match="line 2: it is not UTF-8"):
        read_yaml(path)
    path.write_bytes(b"# " + b"x" * 2**20)
    with pytest.raises(YamlProblem, match="more than 1,048,576 bytes"):
        read_yaml(path)
    with pytest.raises(OSError, match="directory"):
        read_yaml(tmp_path)
