# Sourced by check and live: finds Prometheus' programs.
# shellcheck shell=bash

# $1 (prometheus or promtool) comes from the PATH, or out of Debian's package prometheus, which is unpacked into the
# folder $2 and not installed: nothing is started.
find_prometheus() {
    local program=$1 folder=$2
    if command -v "$program" >/dev/null; then return; fi
    command -v apt-get >/dev/null || fail "$program is not in the PATH. Install it with Prometheus (https://prometheus.io/download/)"
    (
        # apt reads packages as a user of its own.
        chmod 755 "$folder"
        cd -- "$folder" || exit 1
        if ! apt-get download -q prometheus </dev/null >log 2>&1; then
            # Its lists may be missing, or old.
            as=()
            if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; then as=(sudo); fi
            "${as[@]}" apt-get update -q </dev/null >>log 2>&1 || true
            apt-get download -q prometheus </dev/null >>log 2>&1 \
                || { cat log >&2; fail "apt-get cannot download prometheus; run \"apt-get update\" as root, then this again"; }
        fi
        dpkg-deb -x prometheus_*.deb unpacked
    )
    PATH="$folder/unpacked/usr/bin:$PATH"
}
