"""Compile every launch configuration ahead of time, for GPUs that need not be there.

`python tests/support/compile_check.py [--markdown] [--only WORDS]...` prints registers,
shared memory and stack of each kernel, and exits 1 if one spills, takes more shared memory than a
block may have, or makes its product without tensor cores or asynchronous copies. TRITON_INTERPRET
must not be set: nothing is compiled under it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.kernels.triton import configs, interpreted, preference
from clairkit.kernels.triton.configs import HeadLaunch

# What a block may have, in bytes: NVIDIA's programming guide, table of technical specifications.
SHARED_LIMIT = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}
# Instructions by which a product is made, and its factors are fetched ahead.
_TENSOR_CORES = {80: "HMMA", 90: "HGMMA", 100: "UTCHMMA"}
_COPIES = {False: "LDGSTS", True: "UTMALDG"}  # by pointers, or by descriptors

_STATISTICS = ("weighted", "total", "largest")
_OPTIONS = ("bias", "softcap", "logit_scale")
# What a launch of the tile operations passes beside its tensors [T, D], [C, D] and numbers.
_HEAD_LAUNCHES: dict[str, tuple[str, ...]] = {
    "forward": ("tile", "sums"),
    "forward, all options": ("tile", "sums", *_OPTIONS),
    "forward, statistics": ("tile", "sums", *_OPTIONS, *_STATISTICS),
    "no gradient": ("sums",),
    "no gradient, statistics": ("sums", *_OPTIONS, *_STATISTICS),
    "backward": ("tile", "own"),
    "backward, all options": ("tile", "own", *_OPTIONS),
}


@dataclass(frozen=True)
class CompileCase:
    """A kernel as it is launched, for ahead-of-time compilation without a GPU."""

    name: str
    fn: Any  # the jit function
    signature: dict[str, str]  # parameter -> "*fp32", "i32", ..., "constexpr"
    constexprs: dict[str, object]  # parameter -> value
    num_warps: int
    num_stages: int
    # integers that a launch finds to be multiples of 16, so that rows are read 16 bytes at a time
    aligned: tuple[str, ...] = ()
    capabilities: tuple[int, ...] = (80, 90, 100)


@dataclass(frozen=True)
class Compiled:
    """What a kernel takes on one family of GPUs."""

    name: str
    blocks: str
    warps: int
    stages: int
    capability: int
    registers: int
    shared: int  # bytes a block
    stack: int  # bytes a thread: registers that were spilled
    local: int  # instructions that read or write it
    missing: tuple[str, ...] = ()  # instructions that were expected

    def faults(self) -> list[str]:
        """Return what is wrong, in words; nothing when all is well."""
        found = []
        if self.stack or self.local:
            found.append(f"spills: {self.stack} bytes of stack, {self.local} local accesses")
        if self.shared > SHARED_LIMIT[self.capability]:
            limit = SHARED_LIMIT[self.capability]
            found.append(f"{self.shared} bytes of shared memory: a block may have {limit}")
        if self.missing:
            found.append(f"no instruction {' or '.join(self.missing)}: the product is a slow one")
        return found


def all_cases() -> Iterator[CompileCase]:
    """Every kernel as it is launched on each family of GPUs."""
    yield from head_cases()
    yield from row_cases()
    yield from preference_cases()


def head_cases() -> Iterator[CompileCase]:
    """The fused kernel for bfloat16; with all options also D is no multiple of the block."""
    from clairkit.kernels.triton.head import head_kernel

    numbers = (
        "tokens",
        "columns",
        "size",
        "first_column",
        "hidden_stride",
        "weight_stride",
        "tile_stride",
        "programs",
    )
    for capability, (launch, given) in itertools.product(SHARED_LIMIT, _HEAD_LAUNCHES.items()):
        config = configs.head_launch(
            capability, statistics="weighted" in given, options="softcap" in given
        )
        # with pointers where strides admit no descriptor, and D may be no multiple of the block
        for described in dict.fromkeys((config.persistent, False)):
            constexprs = _absent(given) | _blocks(config) | {"WIDEN": False, "MAX_EXPONENT": 76.0}
            constexprs |= {"DESCRIPTORS": described, "FLATTEN": described}
            constexprs["EVEN_D"] = described or "softcap" not in given
            factors = _factors(config) if described else {"hidden": "*bf16", "weight": "*bf16"}
            signature = factors | _tile_signature(given) | dict.fromkeys(numbers, "i32")
            yield CompileCase(
                f"head, {launch}" + ("" if described or not config.persistent else ", pointers"),
                head_kernel,
                signature,
                constexprs,
                config.num_warps,
                config.num_stages,
                ("columns", "size", "hidden_stride", "weight_stride", "tile_stride"),
                (capability,),
            )


def _blocks(config: HeadLaunch) -> dict[str, object]:
    return {
        "BLOCK_T": config.block_t,
        "BLOCK_V": config.block_v,
        "BLOCK_D": config.block_d,
        "PARTS": config.parts,
        "GROUP": config.group,
    }


def _factors(config: HeadLaunch) -> dict[str, str]:
    return {
        "hidden": f"tensordesc<bf16[{config.block_t}, {config.block_d}]>",
        "weight": f"tensordesc<bf16[{config.block_v}, {config.block_d}]>",
    }


def row_cases() -> Iterator[CompileCase]:
    """The kernels that go over products or logits that exist."""
    from clairkit.kernels.triton.head import products_kernel
    from clairkit.kernels.triton.logits import gather_kernel, scatter_kernel

    numbers = ("tokens", "columns", "first_column", "products_stride", "tile_stride", "splits")
    config = configs.PRODUCTS
    for launch in ("forward, statistics", "backward, all options"):
        given = _HEAD_LAUNCHES[launch]
        signature = {"products": "*fp32", **_tile_signature(given), "tile": "*fp32"}
        yield CompileCase(
            f"products, {launch}",
            products_kernel,
            signature | dict.fromkeys(numbers, "i32"),
            _absent(given)
            | {"BLOCK_T": config.block_t, "BLOCK_V": config.block_v, "MAX_EXPONENT": 76.0},
            config.num_warps,
            3,
            ("columns", "products_stride", "tile_stride"),
        )
    yield from _row_product_cases()
    config = configs.GATHER
    strides = ("inner_stride", "outer_stride")
    signature = {"logits": "*bf16", "targets": "*i64", "largest": "*fp32", "sums": "*fp32"}
    signature |= dict.fromkeys(("vocabulary", "inner", *strides), "i32")
    backward = {
        "coefficients": "*fp32",
        "totals": "*fp32",
        "gradient": "*bf16",
        "gradient_inner_stride": "i32",
        "gradient_outer_stride": "i32",
    }
    for name, fn, more in (
        ("gather", gather_kernel, {"chosen": "*fp32"}),
        ("gather, backward", scatter_kernel, backward),
    ):
        yield CompileCase(
            name,
            fn,
            signature | more,
            {"BLOCK_V": config.block_v},
            config.num_warps,
            3,
            ("vocabulary", *strides, "gradient_inner_stride", "gradient_outer_stride"),
        )


def _row_product_cases() -> Iterator[CompileCase]:
    """The kernels of single rows' products."""
    from clairkit.kernels.triton.rows import combine_kernel, target_kernel

    config = configs.ROWS
    blocks: dict[str, object] = {"BLOCK_T": config.block_t, "BLOCK_D": config.block_v}
    factors = {"hidden": "*bf16", "weight": "*bf16", "targets": "*i64", "products": "*fp32"}
    parts = {
        "result": "*bf16",
        "factors": "*fp32",
        "matrix": "*bf16",
        "index": "*i64",
        "shares": "*fp32",
        "other": "*fp32",
    }
    for name, fn, pointers, strides in (
        ("target products", target_kernel, factors, ("hidden_stride", "weight_stride")),
        ("combine", combine_kernel, parts, ("result_stride", "matrix_stride", "other_stride")),
    ):
        signature = pointers | dict.fromkeys(("tokens", "size", *strides), "i32")
        yield CompileCase(name, fn, signature, blocks, config.num_warps, 3, ("size", *strides))


def preference_cases() -> Iterator[CompileCase]:
    """Every loss at a common batch size, and the sizes that are smallest, largest, most crowded."""
    pointers = ("token_logps", "reference", "loss", "losses", "rewards", "sums", "coefficients")
    signature = dict.fromkeys(pointers, "*fp32") | {"offsets": "*i64", "tokens": "i32"}
    signature["given_lengths"] = "*i64"
    signature |= {"pairs": "i32", "beta": "fp32", "label_smoothing": "fp32", "discopop_tau": "fp32"}
    sizes = [(loss, 16) for loss in preference.LOSS_KERNELS]
    # 64 pairs need the most registers
    sizes += [
        (loss, pairs) for loss in ("discopop", "aot") for pairs in (1, 64, preference.MAX_PAIRS)
    ]
    for loss, pairs in sizes:
        constexprs = preference.preference_constexprs(loss, pairs)
        yield CompileCase(
            f"preference {loss} B={pairs}",
            preference.preference_kernel,
            signature | dict.fromkeys(constexprs, "constexpr"),
            constexprs,
            preference.NUM_WARPS,
            preference.NUM_STAGES,
        )
    signature = {
        "coefficients": "*fp32",
        "offsets": "*i64",
        "loss_gradient": "*fp32",
        "token_gradients": "*fp32",
        "tokens": "i32",
    }
    yield CompileCase(
        "preference spread",
        preference.spread_kernel,
        signature | {"TOKENS": "constexpr"},
        {"TOKENS": preference.SPREAD_TOKENS},
        preference.SPREAD_WARPS,
        preference.NUM_STAGES,
    )


def _tile_signature(given: tuple[str, ...]) -> dict[str, str]:
    types = dict.fromkeys(("sums", *_STATISTICS, "bias", "own"), "*fp32")
    types |= {"tile": "*bf16", "softcap": "fp32", "logit_scale": "fp32"}
    return {"targets": "*i64", "anchor": "*fp32"} | {name: types[name] for name in given}


def _absent(given: tuple[str, ...]) -> dict[str, object]:
    optional = ("tile", "sums", *_STATISTICS, *_OPTIONS, "own")
    return {name: None for name in optional if name not in given}


def compile_case(case: CompileCase, capability: int) -> Compiled:
    """Compile one kernel and read what it takes."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = case.fn.arg_names
    kinds = {name: case.signature.get(name, "constexpr") for name in names}
    aligned = {name for name in names if kinds[name].startswith("*")} | set(case.aligned)
    source = ASTSource(
        case.fn,
        kinds,
        constexprs={(names.index(name),): value for name, value in case.constexprs.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name in aligned},
    )
    options = {
        "num_warps": case.num_warps,
        "num_stages": case.num_stages,
        "enable_fp_fusion": configs.FUSE_MULTIPLY_ADD,
    }
    kernel = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    usage, assembly = _disassemble(kernel.asm["cubin"])
    expected: tuple[str, ...] = ()
    if "DESCRIPTORS" in case.constexprs:
        copies = _COPIES[bool(case.constexprs["DESCRIPTORS"])]
        expected = (_TENSOR_CORES[capability], copies)
    return Compiled(
        case.name,
        _described(case.constexprs),
        case.num_warps,
        case.num_stages,
        capability,
        _number("REG", usage),
        kernel.metadata.shared,
        _number("STACK", usage),
        len(re.findall(r"\b(?:STL|LDL)\b", assembly)),
        tuple(name for name in expected if not re.search(rf"\b{name}\b", assembly)),
    )


def _described(constexprs: dict[str, object]) -> str:
    """Return the sizes of a kernel's blocks, in the order of their names in kernels."""
    names = ("LANES", "TOKENS", "BLOCK_T", "BLOCK_V", "BLOCK_D")
    return " x ".join(str(constexprs[name]) for name in names if name in constexprs)


def _disassemble(cubin: bytes) -> tuple[str, str]:
    """Return (resource usage, assembly) of a compiled kernel."""
    import triton

    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        commands = ((tools / "cuobjdump", "--dump-resource-usage"), (tools / "nvdisasm", "-c"))
        usage, assembly = (
            subprocess.run([*command, file], check=True, capture_output=True, text=True).stdout
            for command in commands
        )
    return usage, assembly


def _number(word: str, usage: str) -> int:
    found = re.search(rf"\b{word}:(\d+)", usage)
    if found is None:
        raise RuntimeError(f"cuobjdump reports no {word}: received {usage!r}")
    return int(found[1])


def _compile_numbered(place: tuple[int, int]) -> Compiled:
    """Compile in a process of a pool: kernels themselves can't be sent there."""
    number, capability = place
    return compile_case(next(itertools.islice(all_cases(), number, None)), capability)


def table(results: list[Compiled], *, markdown: bool) -> str:
    """Return the results as a table, in Markdown or in plain columns."""
    titles = ("kernel", "block", "warps", "stages", "sm", "registers", "shared KiB", "stack")
    rows: list[tuple[str, ...]] = [titles]
    for one in results:
        figures = (one.warps, one.stages, one.capability, one.registers)
        rows.append(
            (one.name, one.blocks, *map(str, figures), f"{one.shared / 1024:.1f}", str(one.stack))
        )
    if markdown:
        rows.insert(1, ("---", "---", "--:", "--:", "--:", "--:", "--:", "--:"))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python tests/support/compile_check.py")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--only", action="append", metavar="WORDS", help="kernels so named")
    options = parser.parse_args(arguments)
    if interpreted():
        parser.error("unset TRITON_INTERPRET: nothing is compiled under it")
    places = [
        (number, capability)
        for number, case in enumerate(all_cases())
        if any(words in case.name for words in options.only or [""])
        for capability in case.capabilities
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(_compile_numbered, places))
    write: Any = sys.stdout.write
    write(table(results, markdown=options.markdown) + "\n")
    faults = [(one, fault) for one in results for fault in one.faults()]
    for one, fault in faults:
        sys.stderr.write(f"{one.name} on sm_{one.capability}: {fault}\n")
    return 1 if faults or not results else 0


if __name__ == "__main__":
    sys.exit(main())
