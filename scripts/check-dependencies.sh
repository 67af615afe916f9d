#!/usr/bin/env bash
# check-dependencies.sh   cargo-deny over deny.toml. What can't be checked (no cargo-deny, no way to the advisory database) is
# said in a line that starts with SKIPPED; what was checked and is bad fails.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo-deny >/dev/null; then
  echo "SKIPPED: cargo-deny is not installed, so licences, sources and advisories of the dependencies were not checked ('make tools' installs it)"
  exit 0
fi

cargo deny --locked check licenses bans sources

output="$(mktemp)"
trap 'rm -f "$output"' EXIT
if cargo deny --locked check advisories >"$output" 2>&1; then
  tail -n 1 "$output"
elif grep -q 'failed to fetch advisory database' "$output"; then
  echo "SKIPPED: the advisory database can't be reached, so advisories were not checked"
else
  cat "$output" >&2
  exit 1
fi
