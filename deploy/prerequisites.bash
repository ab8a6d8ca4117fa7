# Sourced by deploy/quickstart and deploy/test: makes sure that what the build needs is there.

fail() {
    echo "error: $*" >&2
    exit 1
}

# Debian packages: liblmdb (state), libsodium (signatures), zlib (compressed traces), pkg-config (finds them). Touches
# nothing when they are there.
need_packages() {
    if command -v pkg-config >/dev/null && pkg-config --exists lmdb libsodium zlib; then return; fi
    local packages=(liblmdb-dev libsodium-dev zlib1g-dev pkg-config)
    command -v apt-get >/dev/null || fail "the headers of LMDB, libsodium and zlib, and pkg-config, are needed. On Debian and Ubuntu they are in \
${packages[*]}; on other systems install their equivalents, so that \"pkg-config --exists lmdb libsodium zlib\" succeeds"
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo: run \"apt-get install ${packages[*]}\" as root, then this again"
        root=(sudo)
    fi
    echo "installing ${packages[*]}"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" </dev/null
    pkg-config --exists lmdb libsodium zlib || fail "${packages[*]} are installed, and pkg-config still does not find lmdb, libsodium and zlib"
}

# Other Debian packages. $1 is a command without quotes in it that succeeds when they are there.
need_debian() {
    local probe=$1 packages=("${@:2}") root=()
    if $probe >/dev/null 2>&1; then return; fi
    command -v apt-get >/dev/null || fail "\"$probe\" fails. On Debian and Ubuntu \
${packages[*]} is needed; on other systems its equivalent"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo: run \"apt-get install ${packages[*]}\" as root, \
then this again"
        root=(sudo)
    fi
    echo "installing ${packages[*]}"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" </dev/null
    $probe >/dev/null 2>&1 || fail "${packages[*]} is installed, and \"$probe\" still fails"
}

# Swift 6.2 or later. A shell that is not a login shell may not have the toolchain's folder in its PATH.
need_swift() {
    local folder
    if ! command -v swift >/dev/null; then
        for folder in "$HOME/.local/share/swiftly/bin" /opt/swift/usr/bin /usr/local/swift/usr/bin; do
            if [ -x "$folder/swift" ]; then
                PATH="$folder:$PATH"
                break
            fi
        done
    fi
    command -v swift >/dev/null || fail "swift is not in the PATH. Install Swift 6.3 (https://www.swift.org/install/linux/), \
put its usr/bin folder into the PATH, and run this again"
    local version
    version=$(swift --version 2>/dev/null </dev/null | sed -nE 's/.*Swift version ([0-9]+)\.([0-9]+).*/\1 \2/p' | head -n 1)
    [ -n "$version" ] || fail "\"swift --version\" says nothing that can be read; is the toolchain whole?"
    local major=${version% *} minor=${version#* }
    if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
        fail "Swift $major.$minor is too old: 6.2 is needed, 6.3 is what Quorate is developed with"
    fi
}
