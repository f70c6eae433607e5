#!/bin/sh
# wheels.sh DIR NAME REQUIREMENTS...: downloads what the files require, and what that requires, for the python3 that comes
# first. NAME tells one Python from another: what it has in DIR is downloaded again only when the files change.
set -eu

dir=$1 mark=$1/$2.txt
shift 2
! cat "$@" | cmp -s - "$mark" || exit 0
for file in "$@"; do
    shift
    set -- "$@" --requirement "$file"
done
python3 -m pip download --quiet --disable-pip-version-check --dest "$dir" "$@"
while [ $# -gt 0 ]; do
    cat "$2"
    shift 2
done >"$mark"
