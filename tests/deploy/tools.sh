# shellcheck shell=sh
# Sourced by test-chart.sh and test-image.sh: what they need, installed once into a cache outside the clone.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2034
root=$(cd "$here/../.." && pwd)
cache=${SAMLGATE_DEPLOY_CACHE:-$HOME/.cache/samlgate-deploy}
mkdir -p "$cache/bin"
PATH=$cache/bin:$PATH

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
have() { command -v "$1" > /dev/null 2>&1; }

# debian PACKAGE...
debian() {
  have apt-get || fail "install these by hand: $*"
  [ "$(id -u)" = 0 ] || fail "as root: apt-get install $*"
  say "installing $*"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive nice -n 15 apt-get install -qy --no-install-recommends "$@"; } > "$cache/apt.log" 2>&1 ||
    { tail -n 20 "$cache/apt.log" >&2; fail "apt-get install $*"; }
}

# go_ready: puts a Go on PATH that fetches by itself what a module asks for (1.21 and later do). Debian's own may be older, and then
# only brings a newer one.
toolchain=go1.25.5
go_ready() {
  export GOTOOLCHAIN=auto
  newer=$cache/go/$toolchain
  [ ! -e "$newer/complete" ] || PATH=$newer/bin:$PATH
  have go || debian golang-go
  case $(go env GOVERSION) in go1.[0-9]|go1.[0-9].*|go1.1[0-9]|go1.1[0-9].*|go1.20|go1.20.*) ;; *) return ;; esac
  say "fetching $toolchain"
  folder=$(cd "$cache" && go mod download -json "golang.org/toolchain@v0.0.1-$toolchain.$(go env GOOS)-$(go env GOARCH)" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [ -d "$folder" ] || fail "needs Go 1.21 or later"
  rm -rf "$newer" && mkdir -p "$cache/go" && cp -r "$folder" "$newer" && chmod -R u+w "$newer"
  chmod +x "$newer"/bin/* "$newer"/pkg/tool/*/*
  touch "$newer/complete"
  PATH=$newer/bin:$PATH
}

# go_tool NAME VERSION PACKAGE [FLAG...]: go install
go_tool() {
  name=$1 version=$2 package=$3
  shift 3
  [ -e "$cache/bin/.$name-$version" ] && return
  go_ready
  say "installing $name $version (some minutes the first time)"
  GOBIN=$cache/bin go install "$@" "$package@$version" > "$cache/go.log" 2>&1 || { tail -n 20 "$cache/go.log" >&2; fail "go install $package"; }
  touch "$cache/bin/.$name-$version"
}

# python_with PACKAGE==VERSION...: sets $python
python_with() {
  python=$cache/venv/bin/python
  [ -e "$cache/venv/.$*" ] && return
  have python3 || debian python3 python3-venv
  [ -x "$python" ] || python3 -m venv "$cache/venv" > "$cache/pip.log" 2>&1 || { debian python3-venv; python3 -m venv --clear "$cache/venv"; }
  "$python" -c 'import tomllib' || fail "needs Python 3.11 or later"
  "$python" -m pip install -q "$@" > "$cache/pip.log" 2>&1 || { tail -n 20 "$cache/pip.log" >&2; fail "pip install $*"; }
  touch "$cache/venv/.$*"
}
