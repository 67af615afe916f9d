#!/usr/bin/env bash
# bench/run.sh: samlgate with a live session side by side with nginx `proxy_pass` without authentication, in one run and in
# turn: the same application (nginx with a 1 KiB answer), keep-alive, 64 connections. The table goes to bench/out/table.md.
# SECONDS_EACH (5), ROUNDS (5), CONNECTIONS (64) and WORKERS (number of cores) change what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${SECONDS_EACH:-5}" rounds="${ROUNDS:-5}" connections="${CONNECTIONS:-64}" workers="${WORKERS:-$(nproc)}"
for program in nginx wrk h2load python3 curl; do
  command -v "$program" >/dev/null || PATH="$PATH:/usr/sbin:/sbin"
  command -v "$program" >/dev/null || { echo "$program is missing: scripts/install-packages.sh bench" >&2; exit 1; }
done
out="$PWD/bench/out"
mkdir -p "$out"
folder="$(mktemp -d)"
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; done
  rm -rf "$folder"
}
trap finish EXIT

cargo build --locked --release --bin samlgate --example demo

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
app="$(free_port)" proxy="$(free_port)" gate="$(free_port)" ops="$(free_port)"

# The application, and nginx in front of it.
cat >"$folder/app.conf" <<CONF
server {
  listen 127.0.0.1:$app reuseport;
  location / { default_type text/html; return 200 "$(head -c 1024 /dev/zero | tr '\0' x)"; }
}
CONF
cat >"$folder/proxy.conf" <<CONF
upstream app { server 127.0.0.1:$app; keepalive 128; keepalive_requests 100000000; }
server {
  listen 127.0.0.1:$proxy reuseport;
  location / {
    proxy_pass http://app;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host \$host;
    proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto \$scheme;
  }
}
CONF
for role in app proxy; do
  sed "s|ROLE|$role|g; s|FOLDER|$folder|g; s|WORKERS|$workers|" bench/nginx.conf >"$folder/nginx-$role.conf"
  nginx -c "$folder/nginx-$role.conf"
  for _ in $(seq 50); do [ -s "$folder/nginx-$role.pid" ] && break; sleep 0.1; done
  started+=("$(cat "$folder/nginx-$role.pid")")
done

# The demo brings an identity provider, and a configuration that is changed only in where it listens and what it protects.
target/release/examples/demo >"$folder/demo.log" 2>&1 &
started+=($!)
for _ in $(seq 100); do grep -q "samlgate's configuration: " "$folder/demo.log" && break; sleep 0.2; done
configuration="$(sed -n "s/.*samlgate's configuration: //p" "$folder/demo.log")"
[ -n "$configuration" ] || { cat "$folder/demo.log" >&2; exit 1; }
cp -r "$(dirname "$configuration")" "$folder/gate"
public_url="$(sed -n 's/^public_url = "\(.*\)"/\1/p' "$configuration")"
sed -i -e "s|^address = .*|address = \"127.0.0.1:$gate\"\nworkers = $workers|" -e "s|^ops_address = .*|ops_address = \"127.0.0.1:$ops\"|" \
  -e "/^\[upstream\]/,/^\[/ s|^url = .*|url = \"http://127.0.0.1:$app\"|" "$folder/gate/samlgate.toml"
target/release/samlgate run --config "$folder/gate/samlgate.toml" >"$folder/gate.log" 2>&1 &
started+=($!)
gate_pid=$!
for _ in $(seq 100); do curl -fs "http://127.0.0.1:$ops/readyz" >/dev/null && break; sleep 0.1; done
cookie="$(python3 bench/login.py "$public_url" "127.0.0.1:$gate" "${DEMO_USER:-ada}" "${DEMO_PASSWORD:-ada-demo}" "$folder/response.xml")" ||
  { cat "$folder/gate.log" >&2; exit 1; }

{
  echo "$(uname -sr), $(nproc) x $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1), $(nginx -v 2>&1 | sed 's/.*: //'), $workers workers each"
  echo
  python3 bench/measure.py "$seconds" "$rounds" "$connections" \
    "nginx=http://127.0.0.1:$proxy/,$(cat "$folder/nginx-proxy.pid")" "samlgate=http://127.0.0.1:$gate/,$gate_pid,$cookie"
  python3 bench/hostile.py "$seconds" "$rounds" "127.0.0.1:$gate" /_samlgate/acs "$cookie" "127.0.0.1:$app" "$folder/response.xml"
} | tee "$out/table.md"
