# Sourced after prerequisites.bash by what tries a program in a Debian of its own.
# shellcheck shell=bash

# Makes a Debian 12 (minbase) with debootstrap, from the mirror that apt of this machine uses, or from
# QUORATE_DEBIAN_MIRROR. It is kept in the folder $1, and made once for each list of packages. Says in $debian_tar where.
#   $2  what to install beside minbase: names with commas between them, or nothing
make_debian() {
    local scratch=$1 include=$2 mirror=${QUORATE_DEBIAN_MIRROR:-} folder started=$SECONDS
    debian_tar=$scratch/debian-12-$(cksum <<<"$include" | cut -d ' ' -f 1).tar
    if [ -s "$debian_tar" ]; then return; fi
    [ "$(id -u)" -eq 0 ] || fail "debootstrap needs root: run this as root"
    need_debian "debootstrap --version" debootstrap
    if [ -z "$mirror" ]; then
        # shellcheck disable=SC2016
        mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
            awk '$1 == "bookworm" && $2 == "main" { print $3; exit }')
    fi
    [ -n "$mirror" ] || fail "apt of this machine knows no mirror of Debian 12 (bookworm); name one in QUORATE_DEBIAN_MIRROR"
    mkdir -p -- "$scratch"
    folder=$(mktemp -d)
    # It will be somebody's /.
    chmod 755 "$folder"
    if ! debootstrap --variant=minbase ${include:+"--include=$include"} bookworm "$folder" "$mirror" \
        >"$scratch/debootstrap.log" 2>&1 </dev/null; then
        tail -n 20 -- "$scratch/debootstrap.log" >&2
        rm -rf --one-file-system -- "$folder"
        fail "debootstrap failed; $scratch/debootstrap.log has all of it"
    fi
    tar --create --one-file-system --directory "$folder" --file "$debian_tar.new" .
    mv -- "$debian_tar.new" "$debian_tar"
    rm -rf --one-file-system -- "$folder"
    echo "ok    Debian 12 made in $((SECONDS - started)) s"
}
