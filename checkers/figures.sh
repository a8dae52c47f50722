#!/usr/bin/env bash
# Measures the table of figures: each history is generated from its seed, judged by `tribunal check` as a whole process
# from file to verdict, and becomes a row of Markdown: what, verdict, seconds, peak memory.
#
#   checkers/figures.sh [ROW...]      all rows, or those whose name contains one of the words
#
# Needs python3, for the peak memory of a child. ROUNDS=3 judges each history three times and shows the median. Rows whose generator is not built are said to be missing.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-1}
corpora=${CORPORA:-../shared/corpora}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet --locked
cargo build --release --quiet --locked -p tribunal-checkers --examples
tribunal=target/release/tribunal

# Runs "$@", and writes `seconds peak_MB exit` of the process and its children to stdout.
measured() {
  python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time
started = time.monotonic()
ended = subprocess.run(sys.argv[1:], stdout=open("/dev/null", "w"))
took = time.monotonic() - started
peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"{took:.2f} {peak_kib * 1024 / 1e6:.0f} {ended.returncode}")
PYTHON
}

verdict_of() { case $1 in 0) echo valid ;; 1) echo invalid ;; 4) echo unknown ;; *) echo "exit $1" ;; esac; }

wanted=("$@")
is_wanted() {
  [ ${#wanted[@]} -eq 0 ] && return 0
  for word in "${wanted[@]}"; do case $1 in *"$word"*) return 0 ;; esac; done
  return 1
}

# row NAME LIMIT EXPECTED MODEL PATH...: judges the paths, and prints a row.
row() {
  local name=$1 limit=$2 expected=$3 model=$4
  shift 4
  local options=()
  [ -n "$model" ] && options=(--model "$model")
  local results
  results=$(for _ in $(seq "$rounds"); do measured "$tribunal" check --json "${options[@]}" "$@" 2>/dev/null; done | sort -n)
  read -r seconds megabytes code <<<"$(sed -n "$(((rounds + 1) / 2))p" <<<"$results")"
  local verdict
  verdict=$(verdict_of "$code")
  [ "$verdict" = "$expected" ] || verdict="**$verdict**, expected $expected"
  printf '| %s | %s | %s | %s | %s |\n' "$name" "$verdict" "$seconds" "$megabytes" "$limit"
}

# generated NAME LIMIT EXPECTED MODEL EXAMPLE ARGUMENTS...: a row of one generated history.
generated() {
  local name=$1 limit=$2 expected=$3 model=$4 example=target/release/examples/$5
  shift 5
  is_wanted "$name" || return 0
  if [ ! -x "$example" ]; then
    printf '| %s | no generator %s | | | %s |\n' "$name" "$(basename "$example")" "$limit"
    return 0
  fi
  "$example" "$@" >"$work/history.jsonl"
  row "$name" "$limit" "$expected" "$model" "$work/history.jsonl"
  rm -f "$work/history.jsonl"
}

# seeds NAME LIMIT EXPECTED(valid, invalid, decided) MODEL SECONDS EXAMPLE ARGUMENTS...: how many of ten seeds are decided in that time.
seeds() {
  local name=$1 limit=$2 expected=$3 model=$4 within=$5 example=target/release/examples/$6
  shift 6
  is_wanted "$name" || return 0
  if [ ! -x "$example" ]; then
    printf '| %s | no generator %s | | | %s |\n' "$name" "$(basename "$example")" "$limit"
    return 0
  fi
  local right=0 slowest=0 largest=0
  for seed in $(seq 10); do
    "$example" "$@" --seed "$seed" >"$work/history.jsonl"
    read -r seconds megabytes code <<<"$(measured "$tribunal" check --json --model "$model" --timeout 60s "$work/history.jsonl" 2>/dev/null)"
    local verdict
    verdict=$(verdict_of "$code")
    case $expected,$verdict in decided,valid | decided,invalid) verdict=decided ;; esac
    if [ "$verdict" = "$expected" ] && [ "$(python3 -c "print(int($seconds <= $within))")" = 1 ]; then right=$((right + 1)); fi
    slowest=$(python3 -c "print(max($slowest, $seconds))")
    largest=$(python3 -c "print(max($largest, $megabytes))")
  done
  printf '| %s | %s of 10 %s in time | at most %s | at most %s | %s |\n' "$name" "$right" "$expected" "$slowest" "$largest" "$limit"
}

printf 'Commit %s, %s x %s, %s.\n\n' "$(git rev-parse --short HEAD)" "$(nproc)" \
  "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(date -u +%F)"
echo '| work | verdict | seconds | peak MB | at most |'
echo '|---|---|---|---|---|'

million=(register --operations 1000000 --crashed 50 --keys 1 --seed 1)
generated "register: 1,000,000 operations, 8 clients, 50 crashed" "2 s, 600 MB" valid register generate "${million[@]}" --clients 8
generated "register: the same with one stale read" "2 s, 600 MB" invalid register generate "${million[@]}" --clients 8 --stale
generated "register: 1,000,000 operations, 64 clients, 50 crashed" "2 s" valid register generate "${million[@]}" --clients 64
generated "register: 64 clients with one stale read" "2 s" invalid register generate "${million[@]}" --clients 64 --stale
generated "register: 10,000,000 operations, 10,000 keys" "20 s, 3 GB" valid register generate \
  register --operations 10000000 --clients 8 --crashed 50 --keys 10000 --seed 1
small=(register --values 5 --keys 1)
seeds "general: 1,000 operations, 32 clients, values 0-4 with 20 % cas" "2 s for 8 of 10" valid register 2 generate \
  "${small[@]}" --operations 1000 --clients 32 --crashed 0
# A crashed write may explain the stale read, so either verdict may be right.
seeds "general: 500 operations, 4 clients, values 0-4, 20 crashed, one stale read" "5 s for 9 of 10" decided register 5 generate \
  "${small[@]}" --operations 500 --clients 4 --crashed 20 --stale
for kind in fifo-queue stack; do
  for verdict in valid invalid; do
    generated "$kind: 1,000,000 operations, 8 clients, $verdict" "1.5 s" "$verdict" "$kind" generate_collections \
      "$kind" 1000000 8 0 0 "$verdict" 1
  done
  generated "$kind: the same with 50 crashed puts" "1.5 s" valid "$kind" generate_collections "$kind" 1000000 8 50 0 valid 1
done
for size in 100000 1000000; do
  limit=$([ "$size" = 100000 ] && echo "1 s, 1 GB" || echo "12 s, 6 GB")
  generated "list-append: $size transactions, strict serializable, valid" "$limit" valid list-append generate_txn list-append "$size" 1
  generated "list-append: $size transactions, one stale read" "$limit" invalid list-append generate_txn list-append "$size" 1 stale-read
done
generated "causal: 100,000 transactions, 0.8 M reads and writes, 20 sessions, 1,000 keys" "1.5 s, 600 MB" valid causal generate_weak
if [ -d "$corpora" ]; then
  is_wanted "all Porcupine etcd logs" && row "all Porcupine etcd logs" "0.2 s" invalid "" "$corpora/porcupine-etcd"
fi
