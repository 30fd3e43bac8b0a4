#!/usr/bin/env bash
# The kernel suite on a GPU, in one call of less than nine minutes: clairkit's own checks, then clairkit
# against the peers that are installed, the points that matter most first. Needs torch and triton; nothing
# is installed. Every finished point is kept, whatever happens later; a short table comes last.
#
#   bench/gpu.sh
#   OUT=results PYTHON=.venv/bin/python COMMIT=1a2b3c bench/gpu.sh
#   DEVICE=cpu QUICK=1 OUT=/tmp/trial bench/gpu.sh    # tiny points on a CPU, to try the script
#
# OUT: folder of the JSON, the SVG and the table [docs/benchmarks]. LIMIT: seconds in all [520]. PEERS:
# [trl,liger,cce,torch,quack]. COMMIT: for the JSON, where there is no git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
OUT=${OUT:-docs/benchmarks}
DEVICE=${DEVICE:-cuda}
QUICK=${QUICK:-}
LIMIT=${LIMIT:-520}
PEERS=${PEERS-trl,liger,cce,torch,quack}
COMMIT=${COMMIT:-}
LAST=25 # seconds kept for the table and the plot

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
export PYTHONPATH="$home${PYTHONPATH:+:$PYTHONPATH}"

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

suite=("$PYTHON" -m clairkit.bench.kernels --device "$DEVICE" --json "$result.json" --resume)
if [[ $DEVICE == cuda ]]; then suite+=(--rounds 10); fi
if [[ -n $COMMIT ]]; then suite+=(--commit "$COMMIT"); fi

# measure NAME SECONDS PATTERN...: begins no point that could not end within the seconds.
measure() {
  local name=$1 most cases=() pattern
  most=$(within "$2")
  shift 2
  for pattern in "$@"; do cases+=(--case "$pattern"); done
  part "$name" "$most" "${suite[@]}" --peers "$PEERS" "${cases[@]}" \
    --budget-seconds "$((most > 40 ? most - 20 : 20))"
}

if [[ -n $QUICK ]]; then
  part "own kernels against float64" 60 "$PYTHON" -m clairkit.bench.kernels --device "$DEVICE" \
    --peers '' --rounds 1 --case 'quick-frozen-fp32-62'
  measure "tiny point" 60 'quick-full-bf16-62'
else
  part "own kernels against float64" 60 "$PYTHON" -m clairkit.bench.kernels --device "$DEVICE" \
    --peers '' --rounds 1 --case 'quick-*-130' --json "$result-parity.json"
  if "$PYTHON" -c 'import pytest, hypothesis, transformers, rapidfuzz, regex' 2> /dev/null; then
    workers=()
    if "$PYTHON" -c 'import xdist' 2> /dev/null; then workers=(-n 8); fi
    part "parity tests" 60 "$PYTHON" -m pytest -q -x -p no:cacheprovider tests/kernels -k triton \
      ${workers[@]+"${workers[@]}"}
  fi
  measure "D=896, 2048 tokens" 100 'v152k-d896-*-bf16-2048'
  measure "24,576 tokens" 90 'v128k-frozen-bf16-24576'
  measure "D=4096, 4096 tokens" 100 'v128k-d4096-*-4096'
  measure "all others" "$LIMIT" 'v*k-d*'
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
