"""Which answers a probe asks about; and the built-in ones are as good as they claim."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.probe import ProbeSettings, make_cases
from clairkit.probe.cases import ProbeCase, built_in, is_good, slice_of
from clairkit.probe.fault_injection import TEXTS
from clairkit.records import Message, PromptRow, digest
from clairkit.texts import languages


def row(number: int, answer: str | None = "It is 5.", **extra: Any) -> PromptRow:
    return PromptRow((Message(role="user", content=f"q{number}"),), answer, f"r{number}", extra)


def kinds(cases: list[ProbeCase]) -> Counter[str]:
    return Counter(case.fault.kind for case in cases if case.fault)


def test_without_good_rows_the_built_in_answers_are_used() -> None:
    cases = make_cases([row(n) for n in range(50)], ProbeSettings(rows=4, repeats=3, faults=5))
    probes = Counter(case.probe for case in cases)
    assert probes == {"untouched": 24, "fault": 25, "repeat": 12}
    assert kinds(cases) == dict.fromkeys(("number", "negation", "step", "code", "url"), 5)
    assert len({(case.row.id, case.row.answer) for case in cases if case.fault}) == 25
    asked = {(case.row.id, case.repeat) for case in cases if case.probe == "repeat"}
    assert len(asked) == 12
    assert Counter(case.slice for case in cases if case.probe == "untouched")["code"] == 5


def test_good_rows_of_the_user_take_their_place() -> None:
    rows = [row(1, good=True, slice="billing"), row(2, good="yes"), row(3, good=False), row(4)]
    cases = make_cases(rows, ProbeSettings(repeats=1))
    assert [case.row.id for case in cases if case.probe == "repeat"] == ["r3", "r4"] or [
        case.row.id for case in cases if case.probe == "repeat"
    ] == ["r4", "r3"]
    good = [case for case in cases if case.probe == "untouched"]
    assert {(case.row.id, case.slice) for case in good} == {("r1", "billing"), ("r2", "text")}
    # A fault in each first, a second place only then.
    numbers = [case.row.id for case in cases if case.fault and case.fault.kind == "number"]
    assert set(numbers[:2]) == {"r1", "r2"}
    assert all(case.fault is None or case.row.answer == case.fault.text for case in cases)


def test_what_is_drawn_depends_on_the_seed_and_not_on_the_order() -> None:
    rows = [row(n) for n in range(100)]

    def drawn(given: list[PromptRow], seed: int) -> set[str]:
        cases = make_cases(given, ProbeSettings(rows=10, seed=seed))
        return {case.row.id for case in cases if case.probe == "repeat"}

    assert drawn(rows, 0) == drawn(rows[::-1], 0)
    assert len(drawn(rows, 0)) == len(drawn(rows, 1)) == 10
    assert drawn(rows, 0) != drawn(rows, 1)


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), ("TRUE", True), (1, True), (False, False), ("no", False)]
)
def test_the_mark_of_a_good_row(value: object, expected: bool) -> None:
    assert is_good(row(1, good=value)) is expected
    assert not is_good(row(1, None, good=True))


@pytest.mark.parametrize(
    ("answer", "name"), [("```\nx\n```", "code"), ("1. a\n2. b", "steps"), ("1. a", "text")]
)
def test_a_row_without_slice_is_put_in_a_group_by_its_answer(answer: str, name: str) -> None:
    assert slice_of(row(1, answer)) == name


@pytest.mark.parametrize("values", [{"rows": -1}, {"repeats": 0}, {"good": 0}, {"faults": -1}])
def test_settings_out_of_range(values: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        ProbeSettings(**values)  # type: ignore[arg-type]


def test_sizes_in_proportion() -> None:
    assert ProbeSettings.of_size(20, seed=3) == ProbeSettings(seed=3)
    assert ProbeSettings.of_size(5) == ProbeSettings(rows=5, good=10, faults=3)
    with pytest.raises(UsageError, match="at least one row"):
        ProbeSettings.of_size(0)


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("返品は三十日以内に受け付けています。", "ja"),
        ("Das geht nicht, aber wir helfen.", "en"),
        ("You can return it.", "en"),
        ("", "en"),
    ],
)
def test_the_built_in_answers_are_in_the_language_of_the_rows(answer: str, language: str) -> None:
    cases = make_cases([row(n, answer) for n in range(3)], ProbeSettings())
    assert {case.row.id.rsplit("-", 1)[0] for case in cases if case.probe == "untouched"} == {
        f"built-in-{language}"
    }
    bare = PromptRow((Message(role="user", content=answer or "-"),))
    assert make_cases([bare], ProbeSettings())[0].row.id.startswith(f"built-in-{language}-")


def test_a_few_built_in_answers_are_not_all_of_one_group() -> None:
    cases = make_cases([row(1)], ProbeSettings(good=6))
    groups = [case.slice for case in cases if case.probe == "untouched"]
    assert len(groups) == 6
    assert len(set(groups)) > 2


# The built-in answers


def code_of(number: int, language: str = "en") -> Callable[..., Any]:
    """The one function in the Python code of a built-in answer."""
    answer = built_in(language)[number - 1].answer or ""
    code = re.search(r"```python\n(.*?)```", answer, re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(code[1], names)
    (function,) = (
        value for name, value in names.items() if callable(value) and not name.startswith("_")
    )
    return function  # type: ignore[no-any-return]


def test_the_built_in_code_does_what_it_says(tmp_path: Any) -> None:
    factorial, is_prime, total = code_of(12), code_of(15), code_of(16)
    assert [factorial(n) for n in range(6)] == [1, 1, 2, 6, 24, 120]
    assert [n for n in range(-1, 60) if is_prime(n)] == [
        2,
        3,
        5,
        7,
        11,
        13,
        17,
        19,
        23,
        29,
        31,
        37,
        41,
        43,
        47,
        53,
        59,
    ]
    table = tmp_path / "a.csv"
    table.write_text("name,amount\na,1.5\nb,2\n")
    assert total(str(table)) == 3.5
    mean = code_of(7, "ja")
    assert mean([1, 2, 6]) == 3
    for function, wrong in ((factorial, -1), (mean, [])):
        with pytest.raises(ValueError, match=r"n must not|empty"):
            function(wrong)


@pytest.mark.parametrize("language", languages(TEXTS))
def test_the_built_in_sums_are_right(language: str) -> None:
    text = "\n".join(each.answer or "" for each in built_in(language))
    number = r"(\d+(?:\.\d+)?)"
    found = re.findall(rf"{number}\s*([-+\u00d7\u00f7])\s*{number}\s*=\s*{number}", text)
    assert len(found) >= 3
    for one, sign, other, result in found:
        a, b = float(one), float(other)
        assert {"+": a + b, "-": a - b, "\u00d7": a * b, "\u00f7": a / b}[sign] == float(result)


@pytest.mark.parametrize(
    ("language", "count", "expected"),
    [("en", 120, "6ef00e1d290e6216"), ("ja", 97, "d829d4dbc601a04f")],
)
def test_the_built_in_cases_are_what_they_always_were(
    language: str, count: int, expected: str
) -> None:
    rows = [replace(row, extra={**row.extra, "good": True}) for row in built_in(language)]
    cases = make_cases(rows, ProbeSettings(faults=40))
    told = [[case.row.id, case.row.prompt, case.row.answer, case.slice] for case in cases]
    assert (len(cases), digest(told)[:16]) == (count, expected)  # the journal's keys hold them
