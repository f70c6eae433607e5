#!/bin/sh
# root.sh DIR PACKAGE...: a bare Debian with nothing but these packages, once.
#
#   DIR/root   the tree
#   DIR/env    what the environment of somebody who logs in there is made of (see seed/inside.sh)
#
# A finished tree is left as it is, unless this file or the packages have changed since. Of two callers at once one waits.
#
# Needs root and the package mmdebstrap.
set -eu

[ $# -ge 2 ] || { echo 'usage: root.sh DIR PACKAGE...' >&2; exit 2; }
dir=${1%/}
shift
[ "$(id -u)" -eq 0 ] || { echo 'root.sh: must be root' >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../debian.sh
. "$here/../debian.sh"

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
made_by=$({ cat "$0" "$here/../debian.sh"; echo "$*"; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$dir/.made-by" 2>/dev/null || :)" != "$made_by" ] || exit 0

tmp=$dir.tmp
rm -rf --one-file-system "$dir" "$tmp"
mkdir "$tmp"
debian_tree "$tmp/root" "$dir.log" "$(echo "$*" | tr ' ' ',')" 'path-exclude=/usr/share/doc/*' \
    'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/locale/*'
printf '%s\n' HOME=/root PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 >"$tmp/env"
echo "$made_by" >"$tmp/.made-by"
mv "$tmp" "$dir"
