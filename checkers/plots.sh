#!/usr/bin/env bash
# Measures how the cost of judging grows with the length of a history, its clients and its crashed operations, and draws
# it: checkers/figures/{length,clients,crashed}.svg, each with its numbers beside it as .tsv (series, x, seconds).
# Seconds are those of `tribunal check --json`, from opening the file to the verdict; the median of three.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --quiet --locked
cargo build --release --quiet --locked -p tribunal-checkers --examples
examples=target/release/examples
out=checkers/figures
mkdir -p "$out"

# point TSV SERIES X MODEL EXAMPLE ARGUMENTS...
point() {
  local tsv=$1 series=$2 x=$3 model=$4 example=$5
  shift 5
  "$examples/$example" "$@" >"$work/history.jsonl"
  local seconds
  seconds=$(for _ in 1 2 3; do
    target/release/tribunal check --json --timeout 60s --model "$model" "$work/history.jsonl" 2>/dev/null || true
  done | sed -n 's/.*"verdict":"valid".*"seconds":\([0-9.e-]*\).*/\1/p' | sort -g | sed -n 2p)
  # A point that was not decided three times is left out, and said.
  [ -n "$seconds" ] || { echo "not decided: $series at $x" >&2; return 0; }
  printf '%s\t%s\t%s\n' "$series" "$x" "$seconds" >>"$out/$tsv.tsv"
}

rm -f "$out"/*.tsv
for n in 10000 100000 1000000; do
  point length "register" "$n" register generate register --operations "$n" --clients 8 --crashed 50 --keys 1 --seed 1
  point length "register, values 0-4" "$n" register generate register --operations "$n" --clients 8 --crashed 0 --values 5 --keys 1 --seed 1
  point length "fifo-queue" "$n" fifo-queue generate_collections fifo-queue "$n" 8 50 0 valid 1
  point length "stack" "$n" stack generate_collections stack "$n" 8 50 0 valid 1
  point length "list-append" "$n" list-append generate_txn list-append "$n" 1
done
for clients in 2 4 8 16 32 64 128; do
  point clients "register, 100,000 operations" "$clients" register generate register --operations 100000 --clients "$clients" --crashed 50 --keys 1 --seed 1
  point clients "register, values 0-4, 1,000 operations" "$clients" register generate register --operations 1000 --clients "$clients" --crashed 0 --values 5 --keys 1 --seed 1
done
for crashed in 1 5 10 20 50 100 200 400; do
  point crashed "register, 100,000 operations" "$crashed" register generate register --operations 100000 --clients 8 --crashed "$crashed" --keys 1 --seed 1
  point crashed "register, values 0-4, 1,000 operations" "$crashed" register generate register --operations 1000 --clients 8 --crashed "$crashed" --values 5 --keys 1 --seed 1
done
"$examples/plot" "Time to judge, by length (8 clients)" "operations or transactions" "seconds" <"$out/length.tsv" >"$out/length.svg"
"$examples/plot" "Time to judge, by clients" "clients" "seconds" <"$out/clients.tsv" >"$out/clients.svg"
"$examples/plot" "Time to judge, by crashed operations (8 clients)" "crashed operations" "seconds" <"$out/crashed.tsv" >"$out/crashed.svg"
