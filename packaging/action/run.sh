#!/usr/bin/env bash
# The step of action.yml: gets a released cml-runner, checks it, puts it on the PATH of the job, and runs what was asked for.
#
# Inputs come as INPUT_…, from Actions GITHUB_PATH, RUNNER_ENVIRONMENT, RUNNER_TEMP and RUNNER_TOOL_CACHE. CML_RUNNER_RELEASES: where
# releases lie (a mirror), in place of GitHub; it has v1.2.3/SHA256SUMS and the archives beside it. Results of `launch` are written by the program.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
releases=${CML_RUNNER_RELEASES:-https://github.com/cml-runner/cml-runner/releases/download}
releases=${releases%/}
names=(cml cml-publish cml-send-comment cml-send-github-check cml-pr cml-tensorboard-dev cml-report)

# Ends the step; the first line of the text is shown on the run's page.
fail() {
    local text=$1
    text=${text//'%'/'%25'}
    text=${text//$'\r'/'%0D'}
    text=${text//$'\n'/'%0A'}
    echo "::error title=cml-runner::$text"
    exit 1
}

# The value of an input; empty where it was not given.
input() {
    local name=INPUT_$1
    printf '%s' "${!name:-}"
}

one_of() {
    local name=$1 value=$2
    shift 2
    local allowed
    for allowed; do [[ $value != "$allowed" ]] || return 0; done
    fail "the input $name is \"$value\": give one of $*"
}

# Sets `machine`, as the names of archives spell it.
find_machine() {
    local system
    system=$(uname -s)
    [[ $system == Linux ]] ||
        fail "there is no cml-runner for $system: run this step on Linux (runs-on: ubuntu-latest); the job that it launches a machine for may be any"
    machine=$(uname -m)
    case $machine in
        x86_64 | amd64) machine=x86_64 ;;
        aarch64 | arm64) machine=aarch64 ;;
        *) fail "there is no cml-runner for the architecture $machine: run this step on x86-64 or arm64 (runs-on: ubuntu-latest or ubuntu-24.04-arm), or build it with cargo install" ;;
    esac
}

# Sets `version`.
find_version() {
    version=$(input VERSION)
    version=${version#v}
    if [[ -z $version ]]; then version=$("$here/../version.sh"); fi
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
        fail "the input version is \"$version\": give a release as 1.2.3, or leave it out for the release that this action belongs to"
}

# download URL FILE
download() {
    local protocols status
    protocols='=https'
    # A mirror may speak plain HTTP: what it gives is held against its own sums only, and its owner has chosen that.
    [[ $releases != http://* ]] || protocols='=http,https'
    status=$(curl --silent --show-error --location --proto "$protocols" --retry 3 --connect-timeout 20 --max-time 600 \
        --output "$2" --write-out '%{http_code}' "$1") ||
        fail "cannot download $1: see curl's words above; run the job again, or name a mirror with CML_RUNNER_RELEASES"
    case $status in
        200) ;;
        404) fail "there is no cml-runner $version for $machine: $1 is not there. Choose a version from https://github.com/cml-runner/cml-runner/releases" ;;
        *) fail "cannot download $1: the server answered $status. Run the job again, or name a mirror with CML_RUNNER_RELEASES" ;;
    esac
}

# Fetches, checks and unpacks into the directory $1; nothing is unpacked that was not checked.
fetch() {
    local archive=cml-runner-$version-$machine-unknown-linux-musl.tar.gz work tool made name
    for tool in curl sha256sum tar gzip; do
        command -v "$tool" >/dev/null || fail "$tool is not installed on this runner: install it before this step"
    done
    work=$(mktemp -d "${RUNNER_TEMP:-/tmp}/cml-runner.XXXXXX")
    download "$releases/v$version/SHA256SUMS" "$work/SHA256SUMS"
    download "$releases/v$version/$archive" "$work/$archive"
    awk -v name="$archive" '$2 == name' "$work/SHA256SUMS" >"$work/sum"
    [[ $(wc -l <"$work/sum") -eq 1 ]] ||
        fail "$releases/v$version/SHA256SUMS does not tell the checksum of $archive: nothing was unpacked. Report it at https://github.com/cml-runner/cml-runner/security"
    (cd "$work" && sha256sum --check --strict --quiet sum >/dev/null 2>&1) ||
        fail "$archive is not what $releases/v$version/SHA256SUMS says: nothing was unpacked. Run the job again; if it stays so, report it at https://github.com/cml-runner/cml-runner/security"
    # Beside its place, so that moving it there is one step: who finds the directory finds it whole.
    mkdir -p "$(dirname "$1")"
    made=$(mktemp -d "$1.XXXXXX")
    tar -xzf "$work/$archive" -C "$made" --no-same-owner --strip-components=1 "${archive%.tar.gz}/cml-runner"
    for name in "${names[@]}"; do ln -s cml-runner "$made/$name"; done
    chmod 755 "$made"
    rm -rf "$work"
    if ! mv -T "$made" "$1" 2>/dev/null; then
        # A step beside this one was faster.
        rm -rf "$made"
        [[ -x $1/cml-runner ]] || fail "cannot put the program into $1: see whether the disk is full and the directory is this user's"
    fi
}

# Puts the program on the PATH of this job.
setup() {
    find_machine
    find_version
    local cache=${RUNNER_TEMP:-} bin
    # What lies in the tool cache of a runner that stays may be of an earlier job, and the program gets this one's token. GitHub's own
    # machines are new for each job; everywhere else the directory is taken that the runner empties before each.
    if [[ ${RUNNER_ENVIRONMENT:-} == github-hosted ]]; then cache=${RUNNER_TOOL_CACHE:-$cache}; fi
    [[ -n $cache && -n ${GITHUB_PATH:-} ]] ||
        fail "RUNNER_TEMP and GITHUB_PATH are not set: this script is a step of GitHub Actions; elsewhere, unpack a release by hand"
    bin=$cache/cml-runner/$version/$machine
    [[ -x $bin/cml-runner ]] || fetch "$bin"
    echo "$bin" >>"$GITHUB_PATH"
    program=$bin/cml-runner
    "$program" --version || fail "$program does not run on this machine: remove $bin and run the job again"
}

# add FLAG INPUT: to `words`, where the input was given.
add() {
    local value
    value=$(input "$2")
    # In one word, so that a value is never taken for a flag.
    [[ -z $value ]] || words+=("$1=$value")
}

# The words of `args`: quotes and backslashes as in a shell, no variables, no substitutions, nothing is run.
add_args() {
    local text more=()
    text=$(input ARGS)
    [[ -n ${text//[[:space:]]/} ]] || return 0
    mapfile -d '' -t more < <(xargs printf '%s\0' <<<"$text" || printf 'unbalanced\0\0')
    [[ ${#more[@]} -lt 2 || -n ${more[-1]} || ${more[-2]} != unbalanced ]] ||
        fail "the input args has a quote without its other half: $text"
    words+=("${more[@]}")
}

# Becomes the program, so that a cancelled step's signal reaches it. Secrets go through the environment and a pipe: a command
# line can be read by everybody on the machine, a file would be left behind.
become() {
    local id key token
    id=$(input APP_ID)
    key=$(input APP_KEY)
    token=$(input TOKEN)
    unset INPUT_TOKEN INPUT_APP_KEY
    if [[ -n $id$key ]]; then
        [[ -n $id && -n $key ]] || fail "app-id and app-key belong together: give both, or a token"
        [[ -z $token ]] || fail "token and app-id are both given: give one of them"
        unset WORKFLOW_TOKEN
        CML_APP_ID=$id CML_APP_KEY_FILE=/dev/fd/3 exec "$program" "$@" 3< <(printf '%s\n' "$key")
    fi
    if [[ -n $token ]]; then export REPO_TOKEN=$token; fi
    if [[ $1 == comment && -z ${REPO_TOKEN:-}${repo_token:-}${GITHUB_TOKEN:-} ]]; then
        export REPO_TOKEN=${WORKFLOW_TOKEN:-}
    fi
    unset WORKFLOW_TOKEN
    exec "$program" "$@"
}

launch() {
    one_of cloud "$(input CLOUD)" aws local
    one_of spot "$(input SPOT)" '' only prefer never
    [[ $(input DISK) =~ ^[0-9]*$ ]] || fail "the input disk is \"$(input DISK)\": give whole GB, as 100"
    words=(launch)
    add --cloud CLOUD
    add --region REGION
    add --type TYPE
    add --spot SPOT
    add --labels LABELS
    add --image IMAGE
    add --disk DISK
    add --idle-timeout IDLE_TIMEOUT
    add --max-lifetime MAX_LIFETIME
    add_args
    become "${words[@]}"
}

report() {
    local file
    file=$(input REPORT)
    [[ -n $file ]] || fail "command: report needs the input report: the Markdown file to post"
    [[ -f $file ]] || fail "the report $file is not there: write it in a step before this one, and give its path from $PWD"
    one_of update "$(input UPDATE)" '' true false
    words=(comment create)
    add --target TARGET
    [[ $(input UPDATE) != true ]] || words+=(--update)
    add_args
    become "${words[@]}" -- "$file"
}

command=$(input COMMAND)
one_of command "${command:-setup}" setup launch report
setup
case $command in
    launch) launch ;;
    report) report ;;
esac
