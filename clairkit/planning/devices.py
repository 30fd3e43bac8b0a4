"""Find devices by name: memory and rates as vendors state them, and the one that is here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clairkit.errors import UsageError, suggest


@dataclass(frozen=True)
class Device:
    """What a plan knows of a device; None where nobody said."""

    name: str
    kind: str  # cpu or cuda
    memory: int | None  # bytes
    half_flops: float | None = None  # dense bfloat16 operations a second, the vendor's peak
    single_flops: float | None = None
    """float32 operations a second, the vendor's peak (without TF32)."""
    bandwidth: float | None = None  # bytes a second between memory and processor, the vendor's peak
    here: bool = False


def _gpu(
    name: str, gigabytes: float, half: float, single: float, bandwidth: float
) -> tuple[str, Device]:
    """Take GiB as the driver shows them, TFLOP/s and GB/s."""
    memory = int(gigabytes * 2**30)
    return name, Device(name, "cuda", memory, half * 1e12, single * 1e12, bandwidth * 1e9)


# Vendors' data sheets: dense peaks, without sparsity. Memory a little below the nominal figure is
# what the driver leaves.
KNOWN = dict(
    (
        _gpu("a100-40", 39.4, 312, 19.5, 1555),
        _gpu("a100-80", 79.2, 312, 19.5, 2039),
        _gpu("h100", 79.1, 989, 67, 3350),
        _gpu("h200", 139.8, 989, 67, 4800),
        _gpu("a10g", 22.1, 70, 35, 600),
        _gpu("l4", 22.1, 121, 30.3, 300),
        _gpu("l40s", 44.4, 362, 91.6, 864),
        _gpu("t4", 14.7, 65, 8.1, 320),
        _gpu("v100-16", 15.8, 125, 15.7, 900),
        _gpu("rtx-3090", 23.6, 71, 35.6, 936),
        _gpu("rtx-4090", 23.6, 165, 82.6, 1008),
        _gpu("rtx-5090", 31.4, 209, 104.8, 1792),
    )
)


def find_device(name: str, memory: int | None = None) -> Device:
    """Return a device by name; cpu and cuda are those of this machine.

    Raises:
        UsageError: no such device, or cuda where there is none and no memory is given.
    """
    if memory is not None and memory < 1:
        raise UsageError("--memory is in bytes", received=memory)
    key = name.lower().replace(" ", "-").replace("_", "-")
    if key in KNOWN:
        known = KNOWN[key]
        return replace(known, memory=memory or known.memory)
    if key == "cpu":
        return Device("cpu", "cpu", memory or _host_memory(), here=True)
    if key == "cuda":
        return _cuda_here(memory)
    names = ["cpu", "cuda", *KNOWN]
    remedy = f"{suggest(key, names)}Name one of {', '.join(names)}"
    raise UsageError("unknown device", received=name, remedy=remedy)


def _host_memory() -> int | None:
    import torch

    from clairkit.kernels.memory import free_memory

    return free_memory(torch.device("cpu")) or None


def _cuda_here(memory: int | None) -> Device:
    import torch

    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        sheets = (sheet for name, sheet in KNOWN.items() if _is(name, card.name))
        sheet = next(sheets, Device("", "cuda", None))
        return replace(sheet, name=card.name, memory=memory or card.total_memory, here=True)
    if memory is None:
        raise UsageError(
            "there is no CUDA device here",
            remedy=f"name one ({', '.join(KNOWN)}), or give its --memory",
        )
    return Device("cuda", "cuda", memory)


def _is(name: str, card: str) -> bool:
    words = card.lower().replace("-", " ").split()
    model, _, size = name.removeprefix("rtx-").partition("-")
    return model in words and (not size or any(word.startswith(size) for word in words))
