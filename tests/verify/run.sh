#!/usr/bin/env bash
# run.sh   the snippets of examples/verify, in every language that this machine has, against what samlgate signs and what others
# make of it: gets each ready in target/verify, then runs tests/it/snippets.rs. Libraries come by the language's own package
# manager, in the versions of the manifests, once. A language that isn't here is said in a line that starts with SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/../.."
sources="$PWD/examples/verify"
built="$PWD/target/verify"
mkdir -p "$built"

ready=()
# has LANGUAGE COMMAND...: whether all commands are here.
has() {
  local language="$1"
  shift
  for command in "$@"; do
    if ! command -v "$command" >/dev/null; then
      echo "SKIPPED: $command is not installed, so the $language snippet was not run"
      return 1
    fi
  done
  ready+=("$language")
}

# changed LANGUAGE VERSION FILE...: whether LANGUAGE is to be made ready, because VERSION (a command) or a file says something
# new; its folder is then empty, until `done_with LANGUAGE`.
changed() {
  local folder="$built/$1" stamp
  stamp="$($2; cat "${@:3}" | sha256sum)"
  [ "$stamp" = "$(cat "$folder/complete" 2>/dev/null)" ] && return 1
  rm -rf "$folder" && mkdir -p "$folder"
  echo "$stamp" >"$folder/unfinished"
}
done_with() { mv "$built/$1/unfinished" "$built/$1/complete"; }

if has python python3 && changed python "python3 --version" "$sources/python/requirements.txt"; then
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$built/python" \
    --requirement "$sources/python/requirements.txt"
  done_with python
fi
has node node || true
if has go go && changed go "go version" "$sources"/go/*; then
  (cd "$sources/go" && go vet . && go build -trimpath -o "$built/go/check" .)
  done_with go
fi
if has java java javac mvn && changed java "javac -version" "$sources"/java/*; then
  mvn -q -B -f "$sources/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$built/java/libraries"
  javac -Xlint:all,-serial -Werror -cp "$built/java/libraries/*" -d "$built/java/classes" "$sources"/java/*.java
  done_with java
fi
has php php || true

SAMLGATE_SNIPPETS="${ready[*]}" "${CARGO:-cargo}" test --locked --test it snippets:: -- --ignored --nocapture
