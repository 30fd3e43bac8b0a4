#!/usr/bin/env bash
# The kernel suite on a GPU, in one call of LIMIT seconds: clairkit against the peers that are
# there, the points that matter most first, and clairkit's own checks. Needs torch and triton.
# Whenever it is stopped, what was measured is in the JSON; a table comes last.
#
#   bench/gpu.sh wheels build/wheels    # where a registry is at hand and the peers are installed
#   bench/gpu.sh
#   WHEELS=build/wheels LIMIT=300 OUT=results PYTHON=.venv/bin/python COMMIT=1a2b3c bench/gpu.sh
#   DEVICE=cpu QUICK=1 OUT=/tmp/trial bench/gpu.sh    # tiny points on a CPU, to try the script
#
# What LIMIT seconds get (whoever lends the machine must grant a few more, and its start):
#   520 [default]  45 s at most for two tiny checks, points until 420, parity tests until 495, table
#   300            two tiny checks, points until 275, table; parity tests if the points end sooner
# A point: the float64 reference; clairkit, eager and the bare products, written at once; then the
# peers, compiled side by side before any is timed. Each of the three has READY [45] seconds; what is
# not ready by then is left out and named. Processes stay from point to point, so that imports and
# the context of the GPU are paid once. No GPU has run this form of the script yet: how many of the 18
# points fit is not known.
#
# OUT: folder of the JSON, the SVG and the table [docs/benchmarks]. PEERS: [trl,liger,cce,torch,quack].
# WHEELS: folder of the peers' wheels, for a machine that reaches no registry; what is installed there
# already is left as it is. COMMIT: for the JSON, where there is no git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
OUT=${OUT:-docs/benchmarks}
DEVICE=${DEVICE:-cuda}
QUICK=${QUICK:-}
LIMIT=${LIMIT:-520}
PEERS=${PEERS-trl,liger,cce,torch,quack}
READY=${READY:-45}
COMMIT=${COMMIT:-}
WHEELS=${WHEELS:-}
LAST=25                                # seconds kept for the table and the plot
TESTS=$((LIMIT < 400 ? 0 : 75))        # and for the parity tests

note() { printf '== %s (after %s s)\n' "$1" "$SECONDS" >&2; }

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

if [[ ${1:-} == wheels ]]; then
  # The peers that are installed and what they need, but for torch and what comes with it.
  "$PYTHON" - > "$home/pins" <<'PY'
import re
from importlib.metadata import PackageNotFoundError, distribution
from packaging.requirements import Requirement

WITH_TORCH = re.compile(r"torch|triton|nvidia-.*-cu\d+|cuda-.*|nvidia-nvshmem.*")
found, waiting = {}, ["trl", "liger-kernel", "cut-cross-entropy", "quack-kernels"]
while waiting:
    name = waiting.pop()
    key = re.sub("[-_.]+", "-", name).lower()
    if key in found or WITH_TORCH.fullmatch(key):
        continue
    try:
        known = distribution(name)
    except PackageNotFoundError:
        continue
    found[key] = known.version
    needed = map(Requirement, known.requires or ())
    waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
print("\n".join(f"{name}=={version}" for name, version in sorted(found.items())))
PY
  "$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --dest "${2:?a folder}" \
    --requirement "$home/pins"
  exit
fi

mkdir -p "$OUT"

# The package as it would be installed: kernels/ops, bench and cli stand under other names there.
mkdir "$home/clairkit"
for path in clairkit/*; do
  case $path in */__pycache__) ;; *) ln -s "$PWD/$path" "$home/clairkit/" ;; esac
done
ln -s "$PWD/kernels/ops" "$home/clairkit/kernels"
ln -s "$PWD/bench" "$home/clairkit/bench"
ln -s "$PWD/cli" "$home/clairkit/cli"
unset TRITON_INTERPRET
export PYTHONPATH="$home${PYTHONPATH:+:$PYTHONPATH}" PYTHONSAFEPATH=1 # not the folder clairkit/

if [[ -n $WHEELS ]]; then
  "$PYTHON" - "$WHEELS" > "$home/lacking" <<'PY'
import re, sys
from importlib.metadata import distributions
from pathlib import Path

def key(name):
    return re.sub("[-_.]+", "-", name).lower()

there = {key(one.name) for one in distributions()}
for wheel in sorted(Path(sys.argv[1]).glob("*.whl")):
    if key(wheel.name.split("-")[0]) not in there:
        print(wheel)
PY
  if [[ -s $home/lacking ]]; then
    "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$home/peers" -r "$home/lacking"
    export PYTHONPATH="$PYTHONPATH:$home/peers"
  fi
fi

"$PYTHON" - "$DEVICE" > "$home/name" <<'PY'
import re, sys
import torch
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit("torch sees no GPU here. DEVICE=cpu QUICK=1 tries the script without one.")
name = torch.cuda.get_device_name() if sys.argv[1] == "cuda" else "cpu"
print("kernels-" + re.sub("[^a-z0-9]+", "-", name.lower()).strip("-"))
PY
result=$OUT/$(cat "$home/name")
rm -f "$result.json"
if command -v nvidia-smi > /dev/null; then
  nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.sm,clocks.mem,temperature.gpu --format=csv >&2 || true
fi

failed=()

# within SECONDS: the seconds, or what is left of LIMIT.
within() {
  local left=$((LIMIT - LAST - SECONDS))
  echo $(($1 < left ? $1 : left))
}

# minutes SECONDS: as the suite's option has them.
minutes() { printf '%d.%03d\n' $(($1 / 60)) $(($1 % 60 * 1000 / 60)); }

# part NAME SECONDS COMMAND...: a command within the seconds; a failure is noted, and the script goes on.
part() {
  local name=$1 most code=0
  most=$(within "$2")
  shift 2
  if ((most < 15)); then
    note "$name: left out, no time is left"
    failed+=("$name (no time)")
    return
  fi
  note "$name: at most $most s"
  timeout --kill-after=5 "$most" "$@" || code=$?
  if ((code != 0)); then
    note "$name: ended with code $code"
    failed+=("$name (code $code)")
  fi
}

suite=("$PYTHON" -m clairkit.bench.kernels --device "$DEVICE" --apart --ready-seconds "$READY")
points=("${suite[@]}" --peers "$PEERS" --json "$result.json")
if [[ $DEVICE == cuda ]]; then points+=(--rounds 10); fi
if [[ -n $COMMIT ]]; then points+=(--commit "$COMMIT"); fi

# measure NAME SECONDS OPTION...: points within the seconds; the suite ends a little before them.
measure() {
  local name=$1 most
  most=$(within "$2")
  shift 2
  part "$name" "$most" "${points[@]}" "$@" --budget-minutes "$(minutes $((most - (most > 40 ? 15 : 8))))"
}

if [[ -n $QUICK ]]; then
  part "own kernels against float64" 60 "${suite[@]}" --peers '' --rounds 1 --case quick-frozen-fp32-62
  measure "tiny point" 120 --case quick-full-bf16-62
else
  part "own kernels against float64" 45 "${suite[@]}" --peers '' --rounds 1 --budget-minutes "$(minutes 35)" \
    --case quick-full-bf16-130 --case quick-frozen-fp32-130 --json "$result-parity.json"
  measure "points" "$((LIMIT - LAST - TESTS - SECONDS))"
  if "$PYTHON" - <<'PY'; then
import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, ["pytest", "hypothesis", "transformers", "rapidfuzz", "regex"])))
PY
    workers=()
    if "$PYTHON" -c 'import xdist' 2> /dev/null; then workers=(-n 8); fi
    part "parity tests" "$LIMIT" "$PYTHON" -m pytest -q -x -p no:cacheprovider \
      tests/kernels/test_triton_tiles.py tests/kernels/test_gather.py ${workers[@]+"${workers[@]}"}
  fi
fi

note "table and plot"
code=0
[[ -s $result.json ]] || exit 5
plot=()
if "$PYTHON" -c 'import matplotlib' 2> /dev/null; then plot=(--plot "$result.svg"); fi
timeout --kill-after=5 "$LAST" "$PYTHON" -m clairkit.bench.kernels --from "$result.json" --summary \
  ${plot[@]+"${plot[@]}"} > "$result.txt" || code=$?
for name in ${failed[@]+"${failed[@]}"}; do echo "not all well: $name" >> "$result.txt"; done
cat "$result.txt"
# A check that failed (7) is the result's to tell.
exit "$code"
