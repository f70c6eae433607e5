# ---- the runner ----

# A token that the download takes, in the form that the program reads.
download_token() { if [ -n "$package_token" ]; then line "header = $1Authorization: Bearer $package_token$1"; fi; }

# Prints the HTTP status, where it is known.
download() {
  if command -v curl >/dev/null; then
    download_token '"' | curl --config - --fail --silent --show-error --location --continue-at - --connect-timeout 20 --speed-limit 1024 \
      --speed-time 60 --max-time 1800 --write-out '%{http_code}' --output "$2" "$1"
  else
    set -- "$1" "$2" --quiet --continue --tries=1 --timeout=60
    if [ -n "$package_token" ]; then
      (umask 077 && download_token '' >"$state/wgetrc")
      set -- "$@" --config="$state/wgetrc"
    fi
    address=$1 file=$2
    shift 2
    wget "$@" --output-document="$file" "$address"
    code=$?
    rm -f "$state/wgetrc"
    return "$code"
  fi
}

version_of_package() { echo "$package_url" | sed -n 's/.*-\([0-9][0-9.]*\)\.tar\.gz$/\1/p'; }

# The image's own runner, if it is the very version that GitHub gives out now: an older one may get no jobs.
# https://docs.github.com/en/actions/reference/runners/self-hosted-runners#runner-software-updates-on-self-hosted-runners
image_has_it() {
  [ "$machine" != local ] && [ -x /opt/actions-runner/bin/Runner.Listener ] || return 1
  version=$(version_of_package)
  [ -n "$version" ] && [ "$(/opt/actions-runner/bin/Runner.Listener --version 2>/dev/null)" = "$version" ]
}

# What a machine that was made into an image has left.
forget_earlier_life() { rm -f "$1/.runner" "$1/.credentials" "$1/.credentials_rsaparams"; }

until_there_is_a_user() { until [ -e "$state/user" ]; do pause; done; }

# In the background, from the first second on: it takes longest. Whatever goes wrong is tried again while there is time
# (the boot time-out ends that), but for an address that leads nowhere.
fetch_runner() {
  if image_has_it; then
    until_there_is_a_user
    forget_earlier_life /opt/actions-runner
    chown -R runner: /opt/actions-runner
    echo /opt/actions-runner >"$state/runner-dir"
    return
  fi
  package=$store/runner.tar.gz
  tries=0
  refused=0
  until fetch_once; do
    tries=$((tries + 1))
    if [ "$refused" -ge 3 ]; then end fetch "$code"; fi
    if [ "$tries" -lt 15 ]; then sleep "$tries"; else sleep 15; fi
  done
  until_there_is_a_user
  mkdir -p "$runner_dir"
  forget_earlier_life "$runner_dir"
  if [ "$machine" != local ]; then chown runner: "$runner_dir"; fi
  # shellcheck disable=SC2046 # the words of one command
  $(as_runner) tar -xzf - -C "$runner_dir" --no-same-owner <"$package" || end unpack "$?"
  rm -f "$package"
  echo "$runner_dir" >"$state/runner-dir"
}

fetch_once() {
  status=$(download "$package_url" "$package" 2>"$state/download")
  code=$?
  if [ "$code" -ne 0 ]; then
    tell "the runner's package: $(tail -n 1 "$state/download") (status ${status:-unknown})"
    # A transfer that broke off (18, 28, 56) goes on where it was; anything else starts afresh.
    case $code in 18 | 28 | 56) ;; *) rm -f "$package" ;; esac
    # 23: it cannot be written. 3: no address.
    case $code:$status in *:40[0134] | *:410 | 23:* | 3:*) refused=$((refused + 1)) ;; esac
    return 1
  fi
  if [ -z "$package_sha256" ]; then return 0; fi
  found=$(sha256sum "$package" | cut -d' ' -f1)
  if [ "$found" = "$package_sha256" ]; then return 0; fi
  tell "the runner's package has SHA-256 $found, expected $package_sha256"
  rm -f "$package"
  if [ -n "${wrong_before:-}" ]; then end checksum 1; fi
  wrong_before=1
  return 1
}

has_libicu() { ldconfig -p 2>/dev/null | grep -q libicuuc; }

# What the runner's own libraries need; only images without them pay for it. The runner's own script does not know Amazon Linux
# 2023. https://github.com/actions/runner/issues/2511
install_dependencies() {
  if [ "$machine" = local ] || has_libicu || [ ! -x "$runner_dir/bin/installdependencies.sh" ]; then return; fi
  stage dependencies
  wait_for_cloud_init
  if command -v dnf >/dev/null; then
    install_now libicu krb5-libs openssl-libs zlib
  else
    persistently "$runner_dir/bin/installdependencies.sh"
  fi || tell "the runner's dependencies: $?"
  has_libicu || end dependencies 1
}

own_script() { # NAME PACKED
  [ -n "$2" ] || return 0
  unpacked "$2" >"$shared/$1" || end "$1" "$?"
  chmod 0500 "$shared/$1"
}

# Our part of the two hooks never fails: a hook that fails fails the job. The owner's part may.
write_hooks() {
  own_script pre-job "$pre_job"
  own_script post-job "$post_job"
  own_script on-interruption "$on_interruption"
  cat >"$shared/job-started.sh" <<'HOOK'
#!/bin/sh
{ echo started >>"${0%/*}/jobs"; touch "${0%/*}/busy"; } 2>/dev/null || true
HOOK
  cat >"$shared/job-completed.sh" <<'HOOK'
#!/bin/sh
rm -f "${0%/*}/busy" 2>/dev/null || :
HOOK
  for pair in pre-job:job-started post-job:job-completed; do
    if [ -e "$shared/${pair%:*}" ]; then
      echo "$(interpreter "$shared/${pair%:*}") \"\${0%/*}/${pair%:*}\" || exit" >>"$shared/${pair#*:}.sh"
    fi
    echo 'exit 0' >>"$shared/${pair#*:}.sh"
  done
  # Runs as the runner's user. Values and the secret come by the environment; the secret goes on by it.
  cat >"$shared/start.sh" <<'START'
#!/bin/sh
shared=${0%/*}
action=$CML_ACTION name=${CML_NAME:-} url=${CML_URL:-} labels=${CML_LABELS:-} group=${CML_GROUP:-} own=${CML_OWN_LABELS:-}
cd "$CML_RUNNER_DIR" || exit 1
unset CML_ACTION CML_RUNNER_DIR CML_NAME CML_URL CML_LABELS CML_GROUP CML_OWN_LABELS
if [ "$(id -u)" -eq 0 ]; then export RUNNER_ALLOW_RUNASROOT=1; fi
if command -v dockerd >/dev/null; then export RUNNER_WAIT_FOR_DOCKER_IN_SECONDS=60; fi
if [ "$action" = configure ]; then
  set -- --unattended --replace --url "$url" --name "$name" --labels "$labels" ${group:+--runnergroup "$group"}
  if [ -z "$own" ]; then set -- "$@" --no-default-labels; fi
  exec ./config.sh "$@"
fi
export ACTIONS_RUNNER_HOOK_JOB_STARTED="$shared/job-started.sh"
export ACTIONS_RUNNER_HOOK_JOB_COMPLETED="$shared/job-completed.sh"
export RUNNER_MANUALLY_TRAP_SIG=1
# Else the runner turns this outcome into another one.
export ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1
echo "$$" >"$shared/pid"
exec ./run.sh
START
  chmod 0700 "$shared"/*.sh
  if [ "$machine" != local ]; then chown -R runner: "$shared"; fi
}

# What only the runner is to see in its environment, as NAME=VALUE lines.
environment() { # ACTION SECRET
  line "CML_ACTION=$1"
  line "CML_RUNNER_DIR=$runner_dir"
  line "CML_MACHINE_FACTS=$facts"
  if [ "$1" = configure ]; then
    line "CML_NAME=$runner_name"
    line "CML_URL=$runner_url"
    line "CML_LABELS=$runner_labels"
    line "CML_GROUP=$runner_group"
    line "CML_OWN_LABELS=$own_labels"
  fi
  if [ -n "$2" ]; then line "$2=$registration"; fi
  if [ "$machine" != local ]; then line "HOME=$runner_home"; fi
  proxies
  if [ -n "$ca_certificates" ]; then echo RUNNER_UPDATE_CA_CERTS=1; fi
}

# ACTION SECRET: a foreground process of this script, so that its jobs get signals as anywhere else: a shell's background
# processes ignore interrupts, and so would every job's steps.
start_here() {
  (
    while IFS= read -r pair; do export "${pair?}"; done <<VARIABLES
$(environment "$@")
VARIABLES
    registration=
    # shellcheck disable=SC2046 # the words of one command
    exec $(as_runner) sh "$shared/start.sh" </dev/null >>"$log" 2>&1
  )
}

# The same as a service with a control group of its own (see 6-main.sh). The secret goes by a file that only root reads,
# and that is gone once it was read.
start_service() {
  environment "$@" | sed 's/[\\"$`]/\\&/g; s/=/="/; s/$/"/' >"$state/environment"
  systemctl start cml-job.service
  code=$?
  rm -f "$state/environment"
  [ "$code" -eq 0 ] || return "$code"
  # Asking to be told (`systemctl --wait`) takes D-Bus, which is not there so early.
  pid=$(systemctl show --property=MainPID cml-job.service)
  if [ "${pid#*=}" -gt 0 ]; then tail --pid="${pid#*=}" --sleep-interval=0.2 -f /dev/null; fi
  while :; do
    case $(systemctl show --property=ActiveState cml-job.service) in *=inactive | *=failed) break ;; esac
    pause
  done
  code=$(systemctl show --property=ExecMainStatus cml-job.service)
  return "${code#*=}"
}

start() { if has_systemd; then start_service "$@"; else start_here "$@"; fi; }

# How the runner's own program says that it did not end well.
# https://github.com/actions/runner/blob/main/src/Misc/layoutroot/run-helper.sh.template
failure_words='An error occurred|exit with (terminated|Session Conflict) error|Exiting with unknown error code|registration has been deleted'

run_runner() {
  touch "$log"
  # Line by line: a login prompt that starts hangs up whoever keeps the console open.
  if [ "$machine" = local ]; then tail -f "$log" & else tail -f "$log" | while IFS= read -r said; do say "$said"; done & fi
  follower=$!
  helpers="$helpers $follower"
  if [ "$registration_kind" = token ]; then
    stage configure
    start configure ACTIONS_RUNNER_INPUT_TOKEN
    code=$?
    if [ "$code" -ne 0 ]; then end configure "$code"; fi
    stage run
    start run ''
  else
    stage run
    start run ACTIONS_RUNNER_INPUT_JITCONFIG
  fi
  code=$?
  if [ "$code" -eq 7 ]; then end runner_deprecated 7; fi
  case $(jobs_started) in
    '0 ' | '0 0') ;;
    *) end job_done "$code" ;;
  esac
  # The runner turns most of its failures into 0. What it says of them is in its log.
  if [ "$code" -eq 0 ] && [ "$registration_kind" = jit ] && ! grep -qE "$failure_words" "$log"; then end no_job 0; fi
  end runner_exited "$code"
}
