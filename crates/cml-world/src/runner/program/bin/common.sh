# shellcheck shell=sh
# shellcheck disable=SC2154 # root is set by who sources this
# What config.sh and the listener share. Sourced, with `root` set to the runner's directory.

# One text field of a flat JSON file.
field() {
  sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" "$root/$1" | head -n 1
}

# curl with a header that no file and no argument shows: METHOD URL AUTHORIZATION [ARGUMENTS].
ask() {
  ask_method=$1 ask_url=$2 ask_authorization=$3
  shift 3
  printf 'header = "Authorization: %s"\n' "$ask_authorization" |
    curl --config - --noproxy '*' --silent --show-error --connect-timeout 10 --max-time 60 \
      --request "$ask_method" "$@" "$ask_url"
}

refuse_root() {
  if [ "$(id -u)" -eq 0 ] && [ -z "${RUNNER_ALLOW_RUNASROOT:-}" ]; then
    echo 'Must not run with sudo'
    exit 1
  fi
}
