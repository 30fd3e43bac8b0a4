"""The plot of the kernel suite: what is in it, what is not, and that it is one good SVG."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.plot import draw, groups_of, look

SVG = "{http://www.w3.org/2000/svg}"


def result(variant: str, seconds: float, megabytes: float, status: str = "ok") -> dict[str, Any]:
    sound = status == "ok"
    return {
        "variant": variant,
        "status": status,
        "time": {"median": seconds} if sound else None,
        "memory": {"extra_bytes": megabytes * 1e6} if sound else None,
    }


def document(*tokens: int, heads: tuple[Any, ...] = ("frozen",)) -> dict[str, Any]:
    points = [
        {
            "case": KernelCase(32768, 896, count, "float32", head).to_json(),
            "bare": {"4": {"seconds": [count / 1000, count / 900, count / 1100]}},
            "results": [
                result("clairkit auto", count / 950, 30),
                result("trl", count / 300, count),
                result("a <new> & peer", count / 300, 7),
                result("wrong one", 1e-9, 1, "PARITY FAILED"),
                result("liger dpo", 1e-9, 0, "OOM" if count == max(tokens) else "ok"),
            ],
        }
        for head in heads
        for count in tokens
    ]
    machine = {
        "cpu": "A <CPU>",
        "device": "cpu",
        "threads": 2,
        "commit": "abc",
        "versions": {"torch": "2.13.0", "trl": None},
    }
    return {"points": points, "machine": machine, "absent": {"quack": "not installed"}}


def texts(svg: bytes) -> list[str]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [" ".join("".join(node.itertext()).split()) for node in found]


def test_every_line_is_in_the_legend_and_what_failed_is_named_and_not_drawn() -> None:
    found = texts(draw(document(256, 1024, 4096)))
    for name in ("clairkit auto", "trl", "a <new> & peer", "bare 4 NVD", "liger dpo"):
        assert found.count(name) == 1, name
    assert {"256", "1,024", "4,096", "time, s", "peak extra memory, MB"} <= set(found)
    assert "wrong one" not in found
    foot = " ".join(found)
    for text in (
        "A <CPU>, 2 threads; torch 2.13.0; commit abc.",
        "wrong one (v32k-frozen-fp32-256: PARITY FAILED)",
        "liger dpo (v32k-frozen-fp32-4096: OOM)",
        "quack absent",
    ):
        assert text in foot


def test_lines_hold_what_was_measured() -> None:
    (group,) = groups_of(document(256, 1024))
    assert group.title == "V=32768, D=896\nfrozen head, float32"
    assert group.time["liger dpo"] == {256: 1e-9}
    assert group.memory["liger dpo"] == {256: 1e-6}  # 0 has no place on a logarithmic axis
    assert group.time["bare 4 NVD"] == {256: 0.256, 1024: 1.024}
    assert group.memory["trl"] == {256: 256.0, 1024: 1024.0}
    assert len(groups_of(document(256, 1024, heads=("frozen", "full")))) == 2


def test_one_point_and_no_point_can_be_drawn_and_always_the_same() -> None:
    assert "256" in texts(draw(document(256)))
    nothing = document(256) | {"points": []}
    assert ElementTree.fromstring(draw(nothing)).tag == f"{SVG}svg"
    assert draw(document(256, 1024)) == draw(document(256, 1024))


def test_no_two_lines_differ_in_colour_alone() -> None:
    names = ["bare 4 NVD", *(f"clairkit {name}" for name in "abcdef"), *"ghijklmn"]
    looks = [(found["marker"], found["linestyle"]) for found in (look(n, names) for n in names)]
    assert len(set(looks)) == len(looks)
