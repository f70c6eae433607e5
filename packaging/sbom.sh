#!/bin/sh
# sbom.sh DIR: what is compiled into the released programs (the same crates for both machines), as CycloneDX:
# DIR/cml-runner-VERSION.cdx.json. Needs cargo-cyclonedx.
set -eu

[ $# -eq 1 ] || { echo 'usage: sbom.sh DIR' >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
cd "$here/.."
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
# It writes a file beside the manifest of every member of the workspace; ours is that of the program.
name=cml-runner-bom
trap 'find crates tests -maxdepth 2 -name "$name.json" -delete' EXIT
cargo cyclonedx --quiet --manifest-path crates/cml-runner/Cargo.toml --format json --spec-version 1.5 \
    --target x86_64-unknown-linux-musl --no-build-deps --override-filename "$name"
mv "crates/cml-runner/$name.json" "$dir/cml-runner-$("$here/version.sh").cdx.json"
