# shellcheck shell=sh
# debian_tree ROOT LOG PACKAGE,PACKAGE [DPKG-OPTION...]: a minimal tree of this machine's own release of Debian, from this
# machine's own apt sources. What apt here was told about reaching its servers (proxy, retries, date checks) is told to the apt
# that fills the tree, and is not left in the tree.
debian_tree() {
    tree=$1 tree_log=$2 tree_packages=$3
    shift 3
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")
    apt-config dump | grep -E '^Acquire::(http|https|Proxy|Retries|Check|Max-Valid|ForceIPv)[^ ]* "..*";$' \
        >"$tree.apt.conf" || :
    for option in "$@"; do
        shift
        set -- "$@" "--dpkgopt=$option"
    done
    set -- "$@" "$suite" "$tree"
    sources=0
    # Only the distribution's own sources: the files that name this release.
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        if [ -f "$file" ] && grep -Eq "^(deb|Suites:)(.* )?$suite( |\$)" "$file"; then
            sources=1
            set -- "$@" "$file"
        fi
    done
    [ "$sources" = 1 ] || { echo "no apt source for $suite" >&2; return 1; }
    mmdebstrap --quiet --mode=root --variant=minbase --include="$tree_packages" \
        --aptopt='Apt::Install-Recommends "false"' --aptopt="$tree.apt.conf" "$@" </dev/null >"$tree_log" 2>&1 || {
        tail -n 20 "$tree_log" >&2
        echo "mmdebstrap failed, see $tree_log" >&2
        return 1
    }
    rm -f "$tree/etc/apt/apt.conf.d/99mmdebstrap" "$tree.apt.conf"
}
