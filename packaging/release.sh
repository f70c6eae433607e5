#!/bin/sh
# release.sh BINARY DIR TARGET [WORDS]: the archive of a release, DIR/cml-runner-VERSION-TARGET.tar.gz, and DIR/SHA256SUMS over
# whatever files of a release are in DIR.
#
# In it, below one directory of the same name: the program, licences, README, changelog, manual pages, completions, the
# service of the daemon, and the IAM policies. The same input makes the same bytes: names are sorted, the owner is root, times are
# those of the last commit (or SOURCE_DATE_EPOCH).
#
# WORDS: what words.sh has made, for a program that does not run here. RELEASE_GZIP: -9 otherwise.
set -eu

if [ $# -ne 3 ] && [ $# -ne 4 ]; then
    echo 'usage: release.sh BINARY DIR TARGET [WORDS]' >&2
    exit 2
fi
binary=$1 dir=${2%/} target=$3 words=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
top=${here%/*}
die() { echo "release.sh: $*" >&2; exit 1; }
[ -x "$binary" ] || die "$binary is no program"
machine=$("$here/machine.sh" "$binary")
[ "${target%%-*}" = "$machine" ] || die "$binary was built for $machine, not for $target"

name=cml-runner-$("$here/version.sh")-$target
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
tree=$work/$name
put() { install -D -m "$1" "$2" "$tree/$3"; }

put 755 "$binary" cml-runner
for file in README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT; do put 644 "$top/$file" "$file"; done
put 644 "$top/crates/cml-plot/data/LICENSE-DejaVu" LICENSE-DejaVu
put 644 "$top/templates/systemd/cml-runner.service" systemd/cml-runner.service
if [ -d "$top/templates/iam" ]; then cp -R "$top/templates/iam" "$tree/iam"; fi
if [ -z "$words" ]; then
    words=$work/words
    "$here/words.sh" "$binary" "$words"
fi
for page in "$words"/man/*.1; do put 644 "$page" "man/man1/${page##*/}"; done
for script in "$words"/completions/*; do put 644 "$script" "completions/${script##*/}"; done
chmod -R u=rwX,go=rX "$tree"

mkdir -p "$dir"
tar -C "$work" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" -cf "$work/tar" "$name"
gzip -n "${RELEASE_GZIP:--9}" <"$work/tar" >"$dir/$name.tar.gz"
"$here/sums.sh" "$dir"
echo "$dir/$name.tar.gz"
