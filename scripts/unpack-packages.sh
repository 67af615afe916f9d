#!/usr/bin/env bash
# unpack-packages.sh FOLDER PACKAGE...   unpacks Debian packages into a folder instead of installing them, once each: as packages they
# would bring a web server and a daemon that start with the machine.
set -euo pipefail
folder="$1"; shift
mkdir -p "$folder/packages"
folder="$(cd "$folder" && pwd)"

missing=()
for package in "$@"; do [ -e "$folder/packages/$package.unpacked" ] || missing+=("$package"); done
[ ${#missing[@]} -eq 0 ] && exit 0
cd "$folder/packages"
for package in "${missing[@]}"; do rm -f "$package"_*.deb; done
apt-get download -q "${missing[@]}" >/dev/null 2>apt.log || { cat apt.log >&2; exit 1; }
for package in "${missing[@]}"; do
  dpkg -x "$package"_*.deb "$folder"
  touch "$package.unpacked"
done
