#!/bin/sh
# notes.sh TAG: what CHANGELOG.md says of the release with this tag. Fails where the tag is not the version of the workspace, or
# the changelog does not know it: then nothing may be released.
set -eu

[ $# -eq 1 ] || { echo 'usage: notes.sh TAG' >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
version=$("$here/version.sh")
if [ "$1" != "v$version" ]; then
    echo "notes.sh: the tag is $1, but Cargo.toml says $version: tag the commit that sets the version, as v$version" >&2
    exit 1
fi
notes=$(awk -v title="## [$version]" '
    /^## / { inside = index($0, title) == 1; next }
    inside
' "$here/../CHANGELOG.md")
if [ -z "$notes" ]; then
    echo "notes.sh: CHANGELOG.md has no section [$version]: rename Unreleased" >&2
    exit 1
fi
printf '%s\n' "$notes" | sed '/./,$!d'
