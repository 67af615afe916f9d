# The image holds samlgate, the shared libraries it links to, CA certificates and nothing else: no shell, no package
# manager. Configuration is expected at /etc/samlgate/samlgate.toml. See docs/deploy-docker.md.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
# Versions are the base image's: both come from one Debian release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates pkg-config clang libclang-dev libxmlsec1-dev libxml2-dev libssl-dev \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# For example --no-default-features: without the second signature engine and its C libraries.
ARG CARGO_FLAGS=
# Crates and object files stay in the builder's cache. Cargo compares times, and a context may be older than the last
# build, so every source file counts as new.
RUN --mount=type=cache,id=samlgate-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=samlgate-target,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
 && cargo build --release --locked --bin samlgate ${CARGO_FLAGS} \
 && install -D -m 0755 target/release/samlgate /rootfs/usr/local/bin/samlgate

# Beside each library: the package record that scanners look for, and the licence that must travel with it.
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN mkdir -p /rootfs/etc/ssl/certs /rootfs/var/lib/dpkg/status.d /state/samlgate; \
    cp -L /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/; \
    echo 'samlgate:x:65532:65532::/nonexistent:/sbin/nologin' > /rootfs/etc/passwd; \
    echo 'samlgate:x:65532:' > /rootfs/etc/group; \
    echo 'hosts: files dns' > /rootfs/etc/nsswitch.conf; \
    libraries=$(ldd /rootfs/usr/local/bin/samlgate); \
    if grep 'not found' <<< "$libraries"; then exit 1; fi; \
    for link in lib lib64; do if [ -L "/$link" ]; then cp -P "/$link" /rootfs/; fi; done; \
    while read -r name; do \
      library=$(readlink -f "$(dirname "$name")")/$(basename "$name"); \
      cp --parents -L "$library" /rootfs/; \
      package=$(dpkg -S "$library" 2> /dev/null || dpkg -S "${library#/usr}"); \
      package=${package%%:*}; \
      dpkg -s "$package" > "/rootfs/var/lib/dpkg/status.d/$package"; \
      cp --parents -L "/usr/share/doc/$package/copyright" /rootfs/; \
    done < <(grep -o '/[^ ]*' <<< "$libraries" | sort -u); \
    cp /etc/os-release /rootfs/etc/os-release

FROM ${RUNTIME_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="samlgate" \
      org.opencontainers.image.description="SAML 2.0 single sign-on in front of an unchanged web application" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /rootfs/ /
# data_dir, for those who keep state in the container: a new named volume takes this owner over.
COPY --from=build --chown=65532:65532 /state/ /var/lib/
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /etc/samlgate
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["samlgate", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["samlgate"]
CMD ["run"]
