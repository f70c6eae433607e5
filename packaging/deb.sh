#!/bin/sh
# deb.sh BINARY DIR [WORDS]: a Debian package of a built cml-runner, for the architecture that it was built for, in DIR.
#
# The program under all its names, manual pages, completions, and the service of the daemon (not enabled: it needs a configuration).
# WORDS: what words.sh has made, for a program that does not run here.
# DEB_COMPRESSION: what dpkg-deb is told of it; -Zxz otherwise, which makes the smallest package and takes its time.
set -eu

if [ $# -ne 2 ] && [ $# -ne 3 ]; then
    echo 'usage: deb.sh BINARY DIR [WORDS]' >&2
    exit 2
fi
binary=$1 dir=${2%/} words=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
top=${here%/*}
[ -x "$binary" ] || { echo "deb.sh: $binary is no program" >&2; exit 1; }

version=$("$here/version.sh")
# 1.2.3-rc.1 is before 1.2.3, which Debian spells with a tilde: what follows a hyphen would be a revision of the package, and later.
case $version in
    *-*) debian_version=${version%%-*}~${version#*-} ;;
    *) debian_version=$version ;;
esac
maintainer="The cml-runner maintainers <cml-runner@users.noreply.github.com>"
case $("$here/machine.sh" "$binary") in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) exit 1 ;;
esac
# What differs from one build to the next is not to be in the package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
tree=$work/tree
mkdir "$tree"

put() { install -D -m "$1" "$2" "$tree/$3"; }
put 755 "$binary" usr/bin/cml-runner
for name in cml cml-publish cml-send-comment cml-send-github-check cml-pr cml-tensorboard-dev cml-report; do
    ln -s cml-runner "$tree/usr/bin/$name"
done
if [ -z "$words" ]; then
    words=$work/words
    "$here/words.sh" "$binary" "$words"
fi
manual=$tree/usr/share/man/man1
mkdir -p "$manual"
for page in "$words"/man/*.1; do
    name=${page##*/}
    to=$(sed -n '1s,^\.so man1/,,p' "$page")
    if [ -n "$to" ]; then ln -s "$to.gz" "$manual/$name.gz"; else gzip -9n <"$page" >"$manual/$name.gz"; fi
done
put 644 "$words/completions/cml-runner.bash" usr/share/bash-completion/completions/cml-runner
put 644 "$words/completions/_cml-runner" usr/share/zsh/vendor-completions/_cml-runner
put 644 "$words/completions/cml-runner.fish" usr/share/fish/vendor_completions.d/cml-runner.fish
put 644 "$top/templates/systemd/cml-runner.service" lib/systemd/system/cml-runner.service
# The template is for a program that was copied by hand.
sed -i -e 's,/usr/local/bin/cml-runner,/usr/bin/cml-runner,' -e '1s, Copy to [^,]*\, put, Put,' \
    "$tree/lib/systemd/system/cml-runner.service"
mkdir "$tree/etc" "$tree/etc/cml-runner"

doc=$tree/usr/share/doc/cml-runner
mkdir -p "$doc"
{
    cat <<'COPYRIGHT'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: cml-runner
Source: https://github.com/cml-runner/cml-runner

Files: *
COPYRIGHT
    sed -n 's/^Copyright (c) /Copyright: /p' "$top/LICENSE-MIT"
    cat <<'COPYRIGHT'
License: Expat or Apache-2.0

License: Expat
COPYRIGHT
    sed -e '1,/^Copyright/d' -e 's/^$/./' -e 's/^/ /' "$top/LICENSE-MIT" | sed '1{/^ \.$/d}'
    cat <<'COPYRIGHT'

Files: usr/bin/cml-runner
Copyright: 2003 Bitstream, Inc.; 2006 Tavmjong Bah
License: DejaVu
 The program holds part of the font DejaVu Sans; its licence is in LICENSE-DejaVu.

License: Apache-2.0
 On Debian systems the full text of this license is in /usr/share/common-licenses/Apache-2.0.
COPYRIGHT
} >"$doc/copyright"
chmod 644 "$doc/copyright"
put 644 "$top/crates/cml-plot/data/LICENSE-DejaVu" usr/share/doc/cml-runner/LICENSE-DejaVu
gzip -9n <"$top/CHANGELOG.md" >"$doc/CHANGELOG.md.gz"
gzip -9n >"$doc/changelog.gz" <<CHANGELOG
cml-runner ($debian_version) unstable; urgency=medium

  * What has changed is told in CHANGELOG.md.gz.

 -- $maintainer  $(date --utc --date "@$SOURCE_DATE_EPOCH" --rfc-email)
CHANGELOG

# The newest symbol that the program asks the C library for says which one it needs; a static program asks for none.
libc=$(grep -aoE 'GLIBC_2\.[0-9]+' "$binary" | sort -Vu | tail -n 1 || :)
mkdir "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: cml-runner
Version: $debian_version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size "$tree" | cut -f1)
Depends: ca-certificates${libc:+, libc6 (>= ${libc#GLIBC_}), libgcc-s1}
Recommends: git
Section: devel
Priority: optional
Homepage: https://github.com/cml-runner/cml-runner
Description: CI machines and reports for machine learning
 One program that gets machines for GitHub Actions jobs from a cloud, gives
 them back, and posts metrics and plots to commits and pull requests. It also
 answers to the names of the CML commands that it replaces.
CONTROL
(cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
mkdir -p "$dir"
# shellcheck disable=SC2086 # several options
dpkg-deb --root-owner-group ${DEB_COMPRESSION:--Zxz} --build "$tree" "$dir/cml-runner_${version}_$architecture.deb"
