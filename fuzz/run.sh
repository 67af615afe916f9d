#!/usr/bin/env bash
# Builds the fuzz targets with coverage counters, on stable Rust, and runs them in turn: `fuzz/run.sh SECONDS [TARGET...]`, the
# seconds being for all of them together. `fuzz/run.sh --replay [TARGET...]` runs each corpus once as the product is built and
# measures time and memory. `fuzz/run.sh --reproduce TARGET FILE` runs one input.
set -euo pipefail
cd "$(dirname "$0")"

CARGO="${CARGO:-cargo}"
# libFuzzer's seed: 0 is another one each time.
SEED="${FUZZ_SEED:-0}"
# So many targets at a time.
JOBS="${FUZZ_JOBS:-$(nproc)}"
# A hostile message is refused in less than 100 ms (`--replay` measures that). With counters and the checks of a debug build, and
# with the second engine and the signer that a target runs beside, it may take longer; what takes this long hangs.
TIMEOUT="${FUZZ_TIMEOUT:-10}"
# More than the 50 MiB that a message may cost, which each target watches itself: corpus, libFuzzer and the C libraries are in it.
RSS_LIMIT_MB="${FUZZ_RSS_LIMIT_MB:-1024}"
# A little more than the largest message that is read.
MAX_LEN=270000
ALL=(response resigned encrypted logout_message redirect_query metadata cookie return_path)

# Whatever ends this ends the targets too.
trap 'jobs=$(jobs -p); [ -z "$jobs" ] || kill $jobs 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

host="$(rustc -vV | sed -n 's/^host: //p')"
programs="target/$host/fuzz"

build() {
  # What cargo-fuzz does, without the nightly compiler: LLVM's coverage pass is told its options directly. `--target` keeps the
  # flags away from build scripts, which are not linked with libFuzzer.
  local flags=(
    --cfg fuzzing
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
  )
  local each bins=()
  for each in "${ALL[@]}"; do bins+=(--bin "$each"); done
  RUSTFLAGS="${flags[*]}" "$CARGO" build --locked --profile fuzz --target "$host" "${bins[@]}"
}

# fuzz_one TARGET SECONDS
fuzz_one() {
  local target="$1" seconds="$2" log="artifacts/$1.log"
  mkdir -p "corpus/$target" "artifacts/$target"
  SAMLGATE_FUZZ_SEEDS="corpus/$target" "$programs/$target" > "$log" 2>&1
  local status=0
  "$programs/$target" "corpus/$target" -seed="$SEED" -max_total_time="$seconds" -max_len="$MAX_LEN" -timeout="$TIMEOUT" \
    -rss_limit_mb="$RSS_LIMIT_MB" -dict=saml.dict -artifact_prefix="artifacts/$target/" -print_final_stats=1 >> "$log" 2>&1 || status=$?
  local runs
  runs="$(sed -n 's/^stat::number_of_executed_units: //p' "$log")"
  if [ "$status" -eq 0 ]; then
    echo "fuzz: $target: no finding in ${runs:-?} runs"
    return 0
  fi
  echo "fuzz: $target: A FINDING (exit $status)"
  grep -E -A12 'panicked at|^==[0-9]+== ?ERROR|SUMMARY' "$log" | cut -c1-2000 | head -60
  local input
  input="$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)"
  echo "  to reproduce: fuzz/run.sh --reproduce $target fuzz/${input:-artifacts/$target/...}"
  echo "  to make it smaller: fuzz/$programs/$target -minimize_crash=1 -max_total_time=60 fuzz/${input:-...}"
  return 1
}

case "${1:-}" in
  --reproduce)
    target="$2" file="$(realpath --relative-base="$PWD" "../$3" 2>/dev/null || realpath "$3")"
    build
    exec "$programs/$target" "$file" -timeout="$TIMEOUT"
    ;;
  --replay)
    shift
    "$CARGO" build --locked --release --no-default-features --bin replay --quiet
    status=0
    for target in "${@:-${ALL[@]}}"; do
      if [ -d "corpus/$target" ]; then target/release/replay "$target" "corpus/$target" || status=1; fi
    done
    exit "$status"
    ;;
  ''|*[!0-9]*)
    echo "usage: fuzz/run.sh SECONDS [TARGET...] | --replay [TARGET...] | --reproduce TARGET FILE" >&2
    exit 64
    ;;
esac

seconds="$1"
shift
targets=("${@:-${ALL[@]}}")
began=$SECONDS
build
echo "fuzz: built in $((SECONDS - began)) s"
each=$(( seconds * JOBS / ${#targets[@]} ))
[ "$each" -ge 1 ] || each=1
status=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$JOBS" ]; then
    wait -n || status=1
    running=$((running - 1))
  fi
  fuzz_one "$target" "$each" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || status=1
  running=$((running - 1))
done
exit "$status"
