#!/usr/bin/env bash
# install-packages.sh GROUP...   installs the Debian packages of the groups build, test, verify, interop, fuzz, bench and rivals that are missing.
# Asks sudo when not root. Nothing is started: daemons that come with a package stay off while this runs.
set -euo pipefail

build=(ca-certificates gcc libc6-dev pkg-config clang libclang-dev libxmlsec1-dev libxml2-dev libssl-dev)
# SimpleSAMLphp and Nagios themselves are not installed: tests/interop/run.sh unpacks their packages into target/.
test=(curl jq openssl python3 php-cli php-xml php-mbstring php-sqlite3 php-curl apache2-bin nginx-light caddy chromium chromium-driver fonts-dejavu-core)
# For `make verify`. Node, Go and Java are not installed for it: it says which of them are not here.
verify=(python3 php-cli)
python3 -m pip --version >/dev/null 2>&1 || verify+=(python3-pip)
# Keycloak is Java and comes by Maven, samlp is JavaScript and comes by npm: for `make interop-all` only.
# Not asked of Debian where they come from elsewhere, because its npm and that of others don't go together.
interop=()
command -v java >/dev/null || interop+=(default-jre-headless)
command -v mvn >/dev/null || interop+=(maven)
command -v node >/dev/null || interop+=(nodejs)
command -v npm >/dev/null || interop+=(npm)
# libFuzzer is C++.
fuzz=(g++)
bench=(curl openssl python3 nginx-light wrk nghttp2-client)
# What `make bench` compares with, and PHP for their identity provider. The package of shibd makes it start with the machine, on a unix
# socket; who doesn't want that says `systemctl disable shibd`.
rivals=(apache2-bin libapache2-mod-auth-mellon libapache2-mod-shib shibboleth-sp-utils php-cli php-xml php-mbstring php-sqlite3 php-curl)

wanted=()
for group in "$@"; do
  case "$group" in
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    verify) wanted+=("${verify[@]}") ;;
    interop) wanted+=("${interop[@]}") ;;
    fuzz) wanted+=("${fuzz[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    rivals) wanted+=("${rivals[@]}") ;;
    *) echo "unknown group $group: build, test, verify, interop, fuzz, bench or rivals" >&2; exit 64 ;;
  esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "This is not Debian: please install what corresponds to: ${wanted[*]}" >&2
  exit 0 # the build says what is missing, if anything is
fi

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"

# A daemon that is installed for a test should not take port 80: policy-rc.d 101 means "don't start" (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
