"""The kernel suite runs on a box that has torch and nothing else: no other library is imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# One point, measured from start to end; then what was imported beyond torch, here and in a process
# that measures.
PROGRAM = """
import json, sys
import torch, torch._dynamo, triton
before = set(sys.modules)

def others():
    roots = {name.split(".")[0] for name in set(sys.modules) - before}
    return sorted(roots - set(sys.stdlib_module_names))

from clairkit.bench.kernels import worker as kernel_worker
from clairkit.bench.kernels import __main__ as kernels
from clairkit.bench.kernels.run import Choices, measure
document = measure(Choices(["quick-full-fp32-62"], peers=(), rounds=1), print, lambda point: None)
assert document["points"][0]["results"][0]["status"] == "ok", document["points"]
assert kernels.verdict(document)[0] == 0, kernels.verdict(document)
from pathlib import Path
import tempfile
from clairkit.bench.kernels.cases import QUICK
from clairkit.bench.kernels.truth import write_reference
with tempfile.TemporaryDirectory() as folder:
    write_reference(QUICK[0], "cpu", Path(folder) / "truth.pt")
    settings = kernel_worker.KernelSettings("cpu", 1, 1)
    kernel_worker.measure_variant(QUICK[0], "clairkit auto", settings, Path(folder) / "truth.pt")
    kernel_worker.measure_times(QUICK[0], ["eager"], settings, Path(folder) / "truth.pt")
ours = {".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("clairkit.")}
print(json.dumps([others(), sorted(ours)]))
"""


@pytest.mark.slow
def test_nothing_but_torch_the_kernels_and_this_package_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    others, ours = json.loads(done.stdout.splitlines()[-1])
    assert set(others) - {"torch", "triton"} == {"clairkit"}
    assert ours == ["clairkit.bench", "clairkit.kernels"]
