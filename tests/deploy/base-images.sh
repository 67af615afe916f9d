# shellcheck shell=bash disable=SC2154,SC2016
# Sourced by test-image.sh: the base image that FROM names, made from Debian's packages and this machine's Rust
# toolchain, so that no image registry is needed. Everything stays in $cache/image.
store=$cache/image
mkdir -p "$store"
export CONTAINERS_STORAGE_CONF="$store/storage.conf" CONTAINERS_CONF="$store/containers.conf" BUILDAH_ISOLATION=chroot
export XDG_RUNTIME_DIR="$store/runtime"
mkdir -p "$XDG_RUNTIME_DIR"
cat > "$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$store/storage"
runroot = "$store/run"
CONF
cat > "$CONTAINERS_CONF" <<CONF
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

debian_base() {
  say "making debian:bookworm-slim"
  # Without these a package's own download cache would fill the layers.
  cat > "$store/keep-small" <<CONF
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CONF
  nice -n 15 mmdebstrap --quiet --variant=minbase --mode=root --include=usr-is-merged \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="copy-in $store/keep-small /etc/apt/apt.conf.d" \
    --customize-hook='rm -f "$1"/var/cache/apt/*.bin "$1/etc/apt/apt.conf.d/99mmdebstrap"' bookworm "$store/base.tar" > "$store/base.log" 2>&1 ||
    { tail -n 20 "$store/base.log" >&2; fail "mmdebstrap"; }
  podman import -q -c "ENV PATH=$path" "$store/base.tar" debian:bookworm-slim > "$store/import.log"
  rm "$store/base.tar"
}

# The toolchain itself is mounted at build time; the host's own CA certificates let cargo through an inspecting proxy.
rust_base() {
  say "making $1"
  container=$(buildah from --pull-never debian:bookworm-slim)
  [ ! -d /usr/local/share/ca-certificates ] || buildah copy -q "$container" /usr/local/share/ca-certificates /usr/local/share/ca-certificates > "$store/copy.log"
  buildah run "$container" -- sh -ec 'apt-get update -q; apt-get install -qy --no-install-recommends ca-certificates gcc libc6-dev; rm -rf /var/lib/apt/lists/*' > "$store/rust.log" 2>&1 ||
    { tail -n 20 "$store/rust.log" >&2; fail "packages of $1"; }
  buildah config --env CARGO_HOME=/usr/local/cargo --env "PATH=/usr/local/cargo/bin:/usr/local/rust/bin:$path" "$container"
  buildah commit -q --rm "$container" "$1" > "$store/commit.log"
}

# Layers of earlier builds are kept to save time, but not without end.
if [ "$(du -sm "$store" | cut -f1)" -gt 8000 ]; then buildah rmi --prune > "$store/prune.log" 2>&1 || true; fi
podman image exists debian:bookworm-slim || debian_base
podman image exists "$build_image" || rust_base "$build_image"
