#!/bin/sh
# Runs one job of a workflow file with act, in the workspace of the simulated GitHub's runner. Its variables CML_EXECUTE_*
# are told in crates/cml-world/src/actions/verbatim.rs; those of the tests are
#
#   SEED_ACT       the act program
#   SEED_IMAGE     what packaging/image-root.sh made
#   SEED_ORIGIN    the bare repository that stands for github.com's
#   SEED_WHEELS    the one place that pip may install from: what wheels.sh has downloaded
#   SEED_SECRETS   the repository's secrets, NAME=VALUE lines
#
# act runs steps on this machine, without Docker. So a job with `container:` runs act itself in a copy of our own image,
# and act reads a copy of the file without that key. `actions/checkout` is emulated by act, which copies the directory that
# it is started in: a clone as that action would have made it. `actions/setup-python` is ours, beside this script.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
job=$RUNNER_TEMP/act
mkdir -p "$job/home" "$job/scratch" "$job/checkout"

# The one commit only, under the name that actions/checkout gives it; a later `git fetch` finds the branches.
checkout() { git -C "$job/checkout" -c advice.detachedHead=false "$@"; }
checkout init --quiet
checkout remote add origin "file://$SEED_ORIGIN"
case $GITHUB_REF in
    refs/heads/*) name=refs/remotes/origin/$GITHUB_REF_NAME how="-B $GITHUB_REF_NAME" ;;
    *) name=refs/remotes/pull/$GITHUB_REF_NAME how=--detach ;;
esac
checkout fetch --quiet --no-tags --depth=1 origin "+$GITHUB_SHA:$name"
# shellcheck disable=SC2086 # two words
checkout checkout --quiet $how "$name"

printf '%s' "$CML_EXECUTE_WORKFLOW" >"$job/workflow.yaml"
printf '%s' "$CML_EXECUTE_EVENT" >"$job/event.json"
printf '%s\n' "$SEED_SECRETS" >"$job/secrets"

set -- "$SEED_ACT" "$GITHUB_EVENT_NAME" --directory "$job/checkout" --workflows "$job/workflow.yaml" \
    --job "$CML_EXECUTE_JOB" --eventpath "$job/event.json" --secret-file "$job/secrets" --actor "$GITHUB_ACTOR" \
    --platform ubuntu-latest=-self-hosted --local-repository "actions/setup-python@v2=$here/actions/setup-python" \
    --action-cache-path "$job/cache" --no-cache-server --artifact-server-addr 127.0.0.1
for variable in GITHUB_API_URL GITHUB_SERVER_URL GITHUB_REPOSITORY GITHUB_RUN_ID GITHUB_RUN_NUMBER GITHUB_RUN_ATTEMPT \
    GITHUB_REF GITHUB_REF_NAME; do
    set -- "$@" --env "$variable=$(printenv "$variable")"
done
# act would give it to every step; GitHub gives it to none that does not ask.
set -- "$@" --env GITHUB_TOKEN=
while IFS= read -r pair; do
    [ -z "$pair" ] || set -- "$@" --matrix "$pair"
done <<MATRIX
$CML_EXECUTE_MATRIX
MATRIX

# Steps see what act sees.
set -- HOME="$job/home" PIP_NO_INDEX=1 PIP_FIND_LINKS="$SEED_WHEELS" "$@"
if grep -q '^ *container: ' "$job/workflow.yaml"; then
    sed -i '/^ *container: /d' "$job/workflow.yaml"
    exec env -i PATH="$PATH" "$here/inside.sh" "$SEED_IMAGE" "$job/scratch" \
        "$job" "$SEED_ORIGIN" "$SEED_ACT" "$SEED_WHEELS" "$here" -- "$@"
fi
exec env -i PATH="$PATH" "$@"
