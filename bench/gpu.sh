#!/usr/bin/env bash
# The kernel suite on a GPU, in one call of LIMIT seconds: clairkit against the peers that are
# installed, the points that matter most first, and clairkit's own checks. Needs torch and triton;
# nothing is installed. Whenever it is stopped, what was measured is in the JSON; a table comes last.
#
#   bench/gpu.sh
#   LIMIT=300 OUT=results PYTHON=.venv/bin/python COMMIT=1a2b3c bench/gpu.sh
#   DEVICE=cpu QUICK=1 OUT=/tmp/trial bench/gpu.sh    # tiny points on a CPU, to try the script
#
# What LIMIT seconds get (whoever lends the machine must grant a few more, and its start):
#   520 [default]  45 s at most for two tiny checks, points until 420, parity tests until 495, table
#   300            two tiny checks, points until 275, table; parity tests if the points end sooner
# A point: the float64 reference; clairkit, eager and the bare products, written at once; then the
# peers, compiled side by side. Each of the three has READY [45] seconds, of which most points should
# need few; what is not ready by then is left out and named. Then some seconds for the measuring. So
# 300 s get one point with peers at worst, 520 s two; no GPU has run this form of the script yet.
#
# OUT: folder of the JSON, the SVG and the table [docs/benchmarks]. PEERS: [trl,liger,cce,torch,quack].
# COMMIT: for the JSON, where there is no git.
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
LAST=25                                # seconds kept for the table and the plot
TESTS=$((LIMIT < 400 ? 0 : 75))        # and for the parity tests

note() { printf '== %s (after %s s)\n' "$1" "$SECONDS" >&2; }

mkdir -p "$OUT"
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

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
  part "$name" "$most" "${points[@]}" "$@" --budget-seconds "$((most - (most > 40 ? 15 : 8)))"
}

if [[ -n $QUICK ]]; then
  part "own kernels against float64" 60 "${suite[@]}" --peers '' --rounds 1 --case quick-frozen-fp32-62
  measure "tiny point" 120 --case quick-full-bf16-62
else
  part "own kernels against float64" 45 "${suite[@]}" --peers '' --rounds 1 --budget-seconds 35 \
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
timeout --kill-after=5 "$LAST" "$PYTHON" -m clairkit.bench.kernels --from "$result.json" --summary \
  --plot "$result.svg" > "$result.txt" || code=$?
for name in ${failed[@]+"${failed[@]}"}; do echo "not all well: $name" >> "$result.txt"; done
cat "$result.txt"
# A check that failed (7) is the result's to tell.
exit "$code"
