# Shell functions that quickstart, test and bench share. Sourced, never run.

# Where what is downloaded or built once is kept.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/netrun-test

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

need_root() {
    [[ $(id -u) == 0 ]] || fail "needs root: sudo -E $0"
    export PATH=$PATH:/usr/sbin:/sbin
}

# install_missing PACKAGE...: installs those that are not; says so before it does.
install_missing() {
    local package
    local -a missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    echo "installing: ${missing[*]}"
    apt_install "${missing[@]}" || { apt-get update -q && apt_install "${missing[@]}"; } ||
        fail "apt-get install ${missing[*]} failed"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >"${TMPDIR:-/tmp}/apt.$$.log" 2>&1 || {
        tail -3 "${TMPDIR:-/tmp}/apt.$$.log" >&2
        rm -f "${TMPDIR:-/tmp}/apt.$$.log"
        return 1
    }
    rm -f "${TMPDIR:-/tmp}/apt.$$.log"
}

# The packages that build netrun; cc is only asked for where no compiler is.
build_packages() {
    echo protobuf-compiler
    command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
}

need_cargo() {
    export PATH=$PATH:$HOME/.cargo/bin
    command -v cargo >/dev/null || fail "cargo is missing: a Rust toolchain comes from https://rustup.rs"
}

# install_cnitool GO: cnitool has no Debian package; it is built once with that Go command, into the cache.
install_cnitool() {
    [[ -x $cache/cnitool/cnitool ]] ||
        GOBIN=$cache/cnitool "$1" install github.com/containernetworking/cni/cnitool@v1.3.0
}
