#!/bin/sh
# image-root.sh DIR BINARY: what `docker build` would make of the Dockerfile beside this script, where there is no Docker.
#
#   DIR/root   the image's tree, with BINARY as its cml-runner
#   DIR/env    the image's variables, NAME=VALUE
#
# The steps before the first COPY are run once: a finished tree is kept until the Dockerfile or this script changes. From
# the first COPY on they are run each time, so they must bear that; what is copied gets the mode 755. Of two callers at once one waits.
# Debian's packages come from this machine's own apt sources, Python's from where this machine's pip takes them.
#
# Needs root and the packages mmdebstrap and util-linux.
set -eu

[ $# -eq 2 ] || { echo 'usage: image-root.sh DIR BINARY' >&2; exit 2; }
dir=${1%/}
binary=$2
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "image-root.sh: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || die 'must be root'
[ -x "$binary" ] || die "$binary is no program"
for tool in mmdebstrap flock chroot unshare; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
made_by=$(cat "$0" "$here/Dockerfile" | sha256sum | cut -d' ' -f1)
log=$dir.log

# One instruction a line: comments go, continued lines are joined.
instructions() {
    sed '/^[[:space:]]*#/d' "$here/Dockerfile" | sed -e ':more' -e '/\\$/{N;s/\\\n[[:space:]]*//;b more' -e '}' -e '/^[[:space:]]*$/d'
}

# FROM debian:SUITE-slim
base() {
    suite=${1#debian:}
    suite=${suite%-slim}
    case $suite in '' | *[!a-z]*) die "cannot start from $1" ;; esac
    # What apt here was told about reaching its servers is told to the apt that fills the tree, and is not left in it.
    apt-config dump | grep -E '^Acquire::(http|https|Proxy|Retries|Check|Max-Valid|ForceIPv)[^ ]* "..*";$' >"$dir.apt.conf" || :
    # Only the distribution's own sources: the files that name this release.
    set --
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        if [ -f "$file" ] && grep -Eq "^(deb|Suites:)(.* )?$suite( |\$)" "$file"; then set -- "$@" "$file"; fi
    done
    [ $# -gt 0 ] || die "no apt source for $suite"
    mmdebstrap --quiet --mode=root --variant=minbase --aptopt="$dir.apt.conf" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$tree/root" "$@" </dev/null >>"$log" 2>&1 ||
        die "mmdebstrap failed, see $log"
}

# Runs a line in the tree as `docker build` would, with this machine's way to the network.
run() {
    step=$1
    set --
    while IFS= read -r pair; do set -- "$@" "$pair"; done <"$tree/env"
    # shellcheck disable=SC2016 # expanded by the shell inside
    env -i PIP_CERT=/run/certificates.crt ${PIP_INDEX_URL:+"PIP_INDEX_URL=$PIP_INDEX_URL"} \
        ${https_proxy:+"https_proxy=$https_proxy"} ${http_proxy:+"http_proxy=$http_proxy"} HOME=/root "$@" \
        unshare --mount --propagation private sh -c '
            set -eu
            mount -t tmpfs run "$1/run"
            mount -t proc proc "$1/proc"
            mount --rbind /dev "$1/dev"
            : >"$1/run/certificates.crt"
            mount --bind /etc/ssl/certs/ca-certificates.crt "$1/run/certificates.crt"
            mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
            exec chroot "$1" /bin/sh -c "$2"
        ' sh "$tree/root" "$step" </dev/null >>"$log" 2>&1 || die "this step failed, see $log: $step"
}

# One instruction; from the first COPY on they belong to the last part.
instruction() {
    word=${1%% *}
    rest=${1#* }
    case $word in
        FROM | ENV | RUN | COPY) ;;
        LABEL) return 0 ;;
        *) die "the Dockerfile says $word, which is not understood here" ;;
    esac
    if [ "$word" = COPY ]; then part=last; fi
    [ "$part" = "$wanted" ] || return 0
    case $word in
        FROM) base "$rest" ;;
        ENV) echo "$rest" >>"$tree/env" ;;
        RUN) run "$rest" ;;
        COPY)
            from=$here/${rest%% *}
            [ "${rest%% *}" != cml-runner ] || from=$binary
            install -m 755 "$from" "$tree/root${rest#* }"
            ;;
    esac
}

steps() {
    wanted=$1 part=first
    instructions >"$dir.steps"
    while IFS= read -r line <&8; do instruction "$line"; done 8<"$dir.steps"
    rm -f "$dir.steps"
}

: >"$log"
if [ "$(cat "$dir/.made-by" 2>/dev/null || :)" != "$made_by" ]; then
    tree=$dir.tmp
    trap 'rm -rf --one-file-system "$dir.tmp" "$dir.apt.conf" "$dir.steps"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    rm -rf --one-file-system "$tree"
    mkdir "$tree"
    : >"$tree/env"
    steps first
    rm -f "$tree/root/etc/apt/apt.conf.d/99mmdebstrap"
    echo "$made_by" >"$tree/.made-by"
    rm -rf --one-file-system "$dir"
    mv "$tree" "$dir"
fi
tree=$dir
steps last
