#!/usr/bin/env bash
# bench/run.sh: samlgate with a live session side by side with nginx `proxy_pass` without authentication, mod_auth_mellon and the Shibboleth SP,
# in one run and in turn, on loopback, in front of the same application. The table goes to bench/out/table.md. What each row is stands in
# docs/performance.md, the order of a run in bench/order.py.
#   ROUNDS (5), SECONDS_EACH (5), CONNECTIONS (64), WORKERS (cores)    how much is measured
#   ONLY=small,paced,large,down,up,websocket,idle,handshakes,http2,start,slow,hostile    what; all without it
#   CONTENDERS="nginx,samlgate,mod_auth_mellon,Shibboleth SP"    whom; without packages (install-packages.sh rivals) the last two are left out
#   HUGE_MIB (1024), IDLE (10000), RATE (4000 a second, beside slow clients and hostile responses), SLOW (2400 clients)
#   SMOKE=1    one round of a second of everything, smaller, nginx and samlgate alone: whether it works, no figures
#   SAMLGATE, DEMO    other binaries than those of target/release, which then are not built
set -euo pipefail
cd "$(dirname "$0")/.."

export PATH="$PATH:/usr/sbin:/sbin"
for program in nginx wrk h2load python3 curl openssl; do
  command -v "$program" >/dev/null || { echo "$program is missing: scripts/install-packages.sh bench" >&2; exit 1; }
done
[ -n "${SAMLGATE:-}" ] && [ -n "${DEMO:-}" ] || cargo build --locked --release --bin samlgate --example demo
PYTHONDONTWRITEBYTECODE=1 exec python3 bench/order.py
