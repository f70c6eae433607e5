#!/bin/sh
# sums.sh DIR: writes DIR/SHA256SUMS over the files of a release in DIR.
set -eu

[ $# -eq 1 ] || { echo 'usage: sums.sh DIR' >&2; exit 2; }
cd "$1"
LC_ALL=C
export LC_ALL
# A pattern's files come sorted. Nothing else belongs to a release.
sha256sum -- cml-runner[-_]* >SHA256SUMS.new
mv SHA256SUMS.new SHA256SUMS
