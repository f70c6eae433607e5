#!/bin/sh
# inside.sh IMAGE SCRATCH PATH... -- COMMAND [ARGUMENT...]
#
# Runs a command in the image that packaging/image-root.sh made, as a container engine would: in a fresh copy of its tree
# (an overlay in SCRATCH that is gone afterwards), as root, with the image's variables. The PATHs are the same inside. The
# network is this machine's, and so are the certificates that it trusts.
#
# Needs root and util-linux.
set -eu

[ $# -ge 4 ] || { echo 'usage: inside.sh IMAGE SCRATCH PATH... -- COMMAND [ARGUMENT...]' >&2; exit 2; }
# The namespace is this process's and its children's: its mounts end with them.
[ -n "${INSIDE:-}" ] || exec env INSIDE=1 unshare --mount --propagation private "$0" "$@"
unset INSIDE

image=$1 scratch=$2
shift 2
mount -t tmpfs scratch "$scratch"
root=$scratch/root
mkdir "$scratch/upper" "$scratch/work" "$root"
mount -t overlay overlay -o "lowerdir=$image/root,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmp "$root/tmp"

bind() {
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    else
        mkdir -p "$root$(dirname "$1")"
        [ -e "$root$1" ] || : >"$root$1"
    fi
    mount --bind "$1" "$root$1"
}
while [ "$1" != -- ]; do
    bind "$1"
    shift
done
shift
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || bind "$file"
done
while IFS= read -r variable; do set -- "$variable" "$@"; done <"$image/env"
exec chroot "$root" env "$@"
