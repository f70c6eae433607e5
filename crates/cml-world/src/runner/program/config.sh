#!/bin/sh
# Registers this runner:
#   config.sh --unattended --url URL --token TOKEN [--name NAME] [--labels a,b] [--runnergroup NAME] [--work DIR]
#             [--ephemeral] [--replace] [--no-default-labels] [--disableupdate]     (or ACTIONS_RUNNER_INPUT_TOKEN)
#   config.sh remove --token TOKEN
set -u
umask 077
root=$(cd "$(dirname "$0")" && pwd) || exit 1
# shellcheck source=bin/common.sh
. "$root/bin/common.sh"
refuse_root

action=configure url='' token=${ACTIONS_RUNNER_INPUT_TOKEN:-} name=$(hostname) labels='' group='' work=_work
ephemeral=no replace=no default_labels=yes
unset ACTIONS_RUNNER_INPUT_TOKEN
while [ "$#" -gt 0 ]; do
  option=$1
  case $option in
    --url | --token | --name | --labels | --runnergroup | --work)
      value=${2:-}
      shift
      ;;
  esac
  case $option in
    remove) action=remove ;;
    --url) url=${value%/} ;;
    --token) token=$value ;;
    --name) name=$value ;;
    --labels) labels=$value ;;
    --runnergroup) group=$value ;;
    --work) work=$value ;;
    --ephemeral) ephemeral=yes ;;
    --replace) replace=yes ;;
    --no-default-labels) default_labels=no ;;
    --unattended | --disableupdate) ;;
    *)
      echo "Unrecognized command-line input arguments: '$option'."
      exit 1
      ;;
  esac
  shift
done
answer=$root/.answer
trap 'rm -f "$answer"' EXIT

if [ "$action" = remove ]; then
  [ -s "$root/.runner" ] || { echo 'Not configured.'; exit 1; }
  status=$(ask POST "$(field .runner ServerUrl)/remove" "RemoteAuth $token" --output "$answer" \
    --write-out '%{http_code}' --data-urlencode "id=$(field .runner AgentId)")
  if [ "$status" != 204 ]; then
    echo "Failed: Removing runner from the server ($status)"
    exit 1
  fi
  rm -f "$root/.runner" "$root/.credentials"
  echo 'Runner removed successfully'
  exit 0
fi

if [ -e "$root/.runner" ]; then
  echo 'Cannot configure the runner because it is already configured. To reconfigure the runner, run config.sh remove first.'
  exit 1
fi
if [ -z "$url" ] || [ -z "$token" ]; then
  echo 'Invalid configuration provided for url or token. Terminating unattended configuration.'
  exit 1
fi
case $(uname -m) in
  aarch64 | arm64) architecture=ARM64 ;;
  *) architecture=X64 ;;
esac
host=${url#*://}
server=${url%%://*}://${host%%/*}
status=$(ask POST "$server/_runner/register" "RemoteAuth $token" --output "$answer" --write-out '%{http_code}' \
  --data-urlencode "url=$url" --data-urlencode "name=$name" --data-urlencode "labels=$labels" \
  --data-urlencode "group=$group" --data-urlencode "work=$work" --data "architecture=$architecture" \
  --data "ephemeral=$ephemeral" --data "replace=$replace" --data "default_labels=$default_labels")
case $status in
  200) ;;
  000)
    echo "Http response code: none from $server"
    exit 1
    ;;
  *)
    echo "Http response code: $status from 'POST $server'"
    cat "$answer"
    exit 1
    ;;
esac
echo '√ Connected to GitHub'
sed -n 1p "$answer" | base64 -d >"$root/.runner"
sed -n 2p "$answer" | base64 -d >"$root/.credentials"
echo '√ Runner successfully added'
echo '√ Settings Saved.'
