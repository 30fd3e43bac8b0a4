"""Check what this machine offers and what is missing; no check can stop the others."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from clairkit.display import excerpt
from clairkit.extras import install_command, requirements, requirements_of

Status = Literal["ok", "warning", "missing"]

_GIB = 2**30
_MODULES = {"pyyaml": "yaml"}  # distribution -> module, where the names differ
_FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_tile",
    "asimd",
    "asimdhp",
    "bf16",
    "sve",
)
_REINSTALL = "install clairkit again, with its dependencies"
_LEAST_DISK = 10  # GiB: a small model, its optimizer and two checkpoints
_LEAST_MEMORY = 3  # GiB: the quickstart


@dataclass(frozen=True)
class MachineFinding:
    """One piece: its state, what was found, and what to do when that is not enough.

    `core` tells that clairkit does not work without it.
    """

    topic: str
    name: str
    status: Status
    detail: str
    remedy: str = ""
    core: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return asdict(self)


def examine() -> list[MachineFinding]:
    """Look at each piece in turn and return what was found; never raises, prints or downloads."""
    findings: list[MachineFinding] = []
    for topic, probe in _PROBES.items():
        try:
            findings += (MachineFinding(topic, *found) for found in probe())
        except Exception as error:  # a broken piece is a finding
            reason = f"cannot be examined ({_reason(error)})"
            core = topic == "packages"
            status: Status = "missing" if core else "warning"
            findings.append(MachineFinding(topic, topic, status, reason, _REINSTALL, core))
    return findings


def broken(findings: list[MachineFinding]) -> list[MachineFinding]:
    """Return the findings without which clairkit does not work; empty when it is usable."""
    return [finding for finding in findings if finding.core and finding.status == "missing"]


# A probe yields the fields of findings after the topic.
_Found = tuple[Any, ...]


def _python() -> Iterator[_Found]:
    version = platform.python_version()
    detail = f"{version} ({platform.python_implementation()}, {platform.system()} "
    detail += f"{platform.machine()})"
    yield "python", "ok", detail, "", True
    from clairkit import __version__

    yield "clairkit", "ok", __version__, "", True


def _packages() -> Iterator[_Found]:
    for requirement in requirements():
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement)


def _package(requirement: Any) -> _Found:
    name = requirement.name
    remedy = f"pip install '{name}{requirement.specifier}'"
    try:
        importlib.import_module(_MODULES.get(name.lower(), name))
    except (Exception, SystemExit) as error:
        return name, "missing", f"cannot be imported ({_reason(error)})", remedy, True
    version = importlib.metadata.version(name)
    if requirement.specifier.contains(version, prereleases=True):
        return name, "ok", version, "", True
    return name, "warning", f"{version}, made for {requirement.specifier}", remedy, True


def _extras() -> Iterator[_Found]:
    metadata = importlib.metadata.metadata("clairkit")
    for extra in sorted(set(metadata.get_all("Provides-Extra") or [])):
        wanted = [requirement.name for requirement in requirements_of(extra)]
        absent = [name for name in wanted if not _installed(name)]
        if absent:
            lacking = f"optional; lacks {', '.join(absent)}"
            yield f"[{extra}]", "missing", lacking, install_command(extra)
        else:
            yield f"[{extra}]", "ok", ", ".join(f"{name} {_installed(name)}" for name in wanted)


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> Iterator[_Found]:
    text = _read("/proc/cpuinfo")
    match = re.search(r"(?mi)^(?:model name|hardware)\s*:\s*(.+)$", text)
    name = match[1] if match else platform.processor() or platform.machine()
    yield "cpu", "ok", f"{name}, {_cores()} cores usable"
    flags = re.search(r"(?mi)^(?:flags|features)\s*:\s*(.+)$", text)
    found = set(re.findall(r"\S+", flags[1])) if flags else set()
    import torch

    level = torch.backends.cpu.get_cpu_capability()
    listed = " ".join(flag for flag in _FLAGS if flag in found) or "not told by the system"
    yield "simd", "ok", f"{listed} (torch uses {level})"


def _cores() -> int:
    """Return the cores this process may use: those of its affinity, within a container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = re.fullmatch(r"([0-9]+) ([0-9]+)\s*", _read("/sys/fs/cgroup/cpu.max"))
    return max(1, min(count, int(quota[1]) // int(quota[2]))) if quota else count


def _memory() -> Iterator[_Found]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdigit():
        total = min(total, int(limit))
    free = re.search(r"(?m)^MemAvailable:\s*([0-9]+) kB", _read("/proc/meminfo"))
    available = min(int(free[1]) * 1024, total) if free else total
    detail = f"{total / _GIB:.1f} GiB, {available / _GIB:.1f} GiB available"
    enough = available >= _LEAST_MEMORY * _GIB
    yield "memory", *_enough(enough, detail, f"free {_LEAST_MEMORY} GiB for the quickstart")


def _disk() -> Iterator[_Found]:
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / _GIB:.1f} GiB free in the current folder"
    remedy = f"free {_LEAST_DISK} GiB for checkpoints, or work elsewhere"
    yield "disk", *_enough(free >= _LEAST_DISK * _GIB, detail, remedy)


def _enough(good: bool, detail: str, remedy: str) -> tuple[Status, str, str]:
    return ("ok", detail, "") if good else ("warning", detail, remedy)


def _devices() -> Iterator[_Found]:
    import torch

    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        detail = f"{properties.name}, {properties.total_memory / _GIB:.0f} GiB, compute "
        detail += f"{properties.major}.{properties.minor}, bf16 {'yes' if bf16 else 'no'}"
        yield f"cuda:{index}", *_enough(bf16, detail, "train in float32 or float16 here")
    if torch.cuda.is_available():
        return
    if torch.backends.mps.is_available():
        has_bf16 = "yes"
        try:
            torch.zeros(1, dtype=torch.bfloat16, device="mps")
        except (RuntimeError, TypeError):
            has_bf16 = "no"
        yield "mps", "ok", f"Apple GPU, bf16 {has_bf16}"
    elif Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi"):
        remedy = "install a CUDA build of torch that the driver supports"
        yield (
            "gpu",
            "missing",
            f"an NVIDIA driver is there, torch {torch.__version__} sees none",
            remedy,
        )
    else:
        yield (
            "gpu",
            "warning",
            "none seen: work is done on the CPU",
            "train small models here, larger ones on a machine with a GPU",
        )


def _kernels() -> Iterator[_Found]:
    from clairkit.kernels import available_backends

    for name, state in available_backends().items():
        remedy = "" if state.available else _BACKEND_REMEDIES.get(name, "")
        yield name, "ok" if state.available else "missing", state.reason, remedy
    try:
        importlib.import_module("clairkit.kernels._native")
    except ImportError as error:
        yield (
            "native module",
            "missing",
            f"not built ({_reason(error)})",
            _BACKEND_REMEDIES["native"],
        )
    else:
        yield "native module", "ok", "built"


_BACKEND_REMEDIES = {
    "native": "install a C compiler and reinstall clairkit; the torch kernels do the work till then"
}


def _variables() -> Iterator[_Found]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN"):
        yield name, "ok", "set" if os.environ.get(name) else f"not set; {_VARIABLES[name]}"
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    on = [name for name in names if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")]
    if on:
        yield "Hub", "warning", f"offline by {on[0]}: only cached models", f"unset {on[0]}"
    else:
        yield "Hub", "ok", "models are downloaded when asked for"


_VARIABLES = {
    "OPENAI_API_KEY": "for openai: models that ask for a key",
    "OPENAI_BASE_URL": "for openai: models on a server of your own",
    "HF_TOKEN": "for models that the Hub gives to members only",
}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _reason(error: BaseException) -> str:
    return excerpt(f"{type(error).__name__}: {error}", 120)


_PROBES: dict[str, Callable[[], Iterator[_Found]]] = {
    "base": _python,
    "packages": _packages,
    "extras": _extras,
    "processor": _processor,
    "memory": _memory,
    "disk": _disk,
    "devices": _devices,
    "kernels": _kernels,
    "environment": _variables,
}
