#!/bin/sh
# Runs a configured runner, or one that comes whole in a JIT configuration:
#   run.sh [--jitconfig CONFIGURATION]     (or ACTIONS_RUNNER_INPUT_JITCONFIG)
set -u
umask 077
root=$(cd "$(dirname "$0")" && pwd) || exit 1
# shellcheck source=bin/common.sh
. "$root/bin/common.sh"
refuse_root

configuration=${ACTIONS_RUNNER_INPUT_JITCONFIG:-}
# A job must not find it in its environment.
unset ACTIONS_RUNNER_INPUT_JITCONFIG ACTIONS_RUNNER_INPUT_TOKEN
while [ "$#" -gt 0 ]; do
  case $1 in
    --jitconfig)
      configuration=${2:-}
      shift
      ;;
    --jitconfig=*) configuration=${1#*=} ;;
    --once | --startuptype) ;;
    *)
      echo "Unrecognized command-line input arguments: '$1'."
      exit 1
      ;;
  esac
  shift
done

if [ -n "$configuration" ]; then
  files=$(printf '%s' "$configuration" | base64 -d 2>/dev/null)
  for name in .runner .credentials .credentials_rsaparams; do
    encoded=$(printf '%s' "$files" | sed -n "s/.*\"$name\":\"\([A-Za-z0-9+\/=]*\)\".*/\1/p")
    if [ -z "$encoded" ] || ! printf '%s' "$encoded" | base64 -d >"$root/$name" 2>/dev/null; then
      rm -f "$root/.runner" "$root/.credentials" "$root/.credentials_rsaparams"
      echo 'The JIT configuration cannot be read.'
      exit 1
    fi
  done
fi
if [ ! -s "$root/.runner" ] || [ ! -s "$root/.credentials" ]; then
  echo 'Not configured. Run config.sh to configure the runner.'
  exit 1
fi
# The listener takes this process over: a signal to it is a signal to the listener.
exec "$root/bin/Runner.Listener" run
