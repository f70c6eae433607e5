#!/bin/sh
# words.sh BINARY DIR: what a built cml-runner says of itself, as files: DIR/man/*.1 and DIR/completions/ for bash, zsh and fish.
#
# The program is run for it. For one that does not run here, do this where it does and give DIR to deb.sh and release.sh.
set -eu

[ $# -eq 2 ] || { echo 'usage: words.sh BINARY DIR' >&2; exit 2; }
case $1 in
    */*) binary=$1 ;;
    *) binary=./$1 ;; # not one of the same name on the PATH
esac
dir=${2%/}
umask 022
mkdir -p "$dir/completions"
"$binary" man "$dir/man" >/dev/null
"$binary" completions bash >"$dir/completions/cml-runner.bash"
"$binary" completions zsh >"$dir/completions/_cml-runner"
"$binary" completions fish >"$dir/completions/cml-runner.fish"
