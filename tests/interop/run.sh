#!/usr/bin/env bash
# run.sh [--all]   one real login: SimpleSAMLphp (Debian) is the IdP, Nagios (Debian) the application that nobody wants to change,
# headless Chromium the person, samlgate's own binary in between. What it proves stands in login.py.
# Then the demo, tried by a person as it asks to be (demo.py), and the matrix of SimpleSAMLphp's settings (matrix.py); with --all
# the matrix of samlp (npm) and Keycloak (Maven) too, which are downloaded once.
#   SAMLGATE=path/to/samlgate   another binary than target/debug/samlgate; DEMO=path likewise
# Needs the packages of `scripts/install-packages.sh test`, with --all those of `interop` too. Everything runs on free loopback
# ports and in a temporary folder, and ends with this script; screenshots of what the person saw stay in target/interop/screenshots.
set -euo pipefail
matrix=(simplesamlphp)
case "${1:-}" in
  '') ;;
  --all) matrix+=(samlp keycloak) ;;
  *) echo "usage: run.sh [--all]" >&2; exit 64 ;;
esac
cd "$(dirname "$0")/../.."

samlgate="${SAMLGATE:-target/debug/samlgate}"
demo="${DEMO:-target/debug/examples/demo}"
for binary in "$samlgate" "$demo"; do
  [ -x "$binary" ] || { echo "$binary is missing: cargo build --bin samlgate --example demo" >&2; exit 1; }
done

debian="$PWD/target/interop/debian"
scripts/unpack-packages.sh "$debian" simplesamlphp nagios4-common nagios4-core nagios4-cgi

export PYTHONDONTWRITEBYTECODE=1
common=(--screenshots target/interop/screenshots)
python3 tests/interop/login.py --samlgate "$samlgate" --debian "$debian" "${common[@]}"
python3 tests/interop/demo.py --demo "$demo" "${common[@]}"
python3 tests/interop/matrix.py --samlgate "$samlgate" --debian "$debian" "${matrix[@]}"
