#!/bin/sh
# Turns this machine into one GitHub runner, and back into nothing.
#
# It runs as root from cloud-init, or as anybody under the local provider (CML_MACHINE=local). Whatever happens, it
# ends with a line `cml-runner: last words: ...` on the console and the machine powered off.
# Every value below is put in by cml-bootstrap, quoted for the shell.
set -u
umask 077

launch='{{ launch }}'
runner_name='{{ runner_name }}'
deadline='{{ deadline }}'         # seconds since 1970
lifetime='{{ lifetime }}'         # seconds from the decision to the deadline
boot_timeout='{{ boot_timeout }}' # seconds
idle_timeout='{{ idle_timeout }}' # seconds, or never
package_url='{{ package_url }}'
package_sha256='{{ package_sha256 }}' # empty when not known
registration_kind='{{ registration_kind }}' # jit or token
registration='{{ registration }}'           # secret: never exported, never an argument
runner_url='{{ runner_url }}'
runner_labels='{{ runner_labels }}'
runner_group='{{ runner_group }}'
ssh_authorized_key='{{ ssh_authorized_key }}'
startup_script='{{ startup_script }}' # base64, or empty

machine=${CML_MACHINE:-cloud}
if [ "$machine" = local ]; then
  state=$HOME/.cml-runner
  runner_home=$HOME
  # What must be read from this file is read: the open file outlives its name.
  rm -f -- "$0"
else
  state=/opt/cml-runner
  runner_home=/home/runner
  export HOME=/root
fi
runner_dir=$runner_home/actions-runner
shared=$runner_home/.cml-shared # what the runner's user may touch: hooks, marks, its registration
log=$state/runner.log
helpers= # what a local machine without CML_INSTANCE must end
follower=

# ---- words ----

uptime_seconds() {
  read -r up _ </proc/uptime
  echo "${up%%.*}"
}

say() {
  echo "$1"
  if [ "$machine" != local ]; then
    { echo "$1" >/dev/console; } 2>/dev/null || :
  fi
}

stage() {
  echo "$1" >"$state/stage"
  say "cml-runner[$launch]: stage $1 uptime=$(uptime_seconds)s${2:+ $2}"
}

# ---- the end ----

# The first who ends the machine says why; a mark that only one can make decides.
claim() { mkdir "$state/ending" 2>/dev/null; }

last_words() {
  say "cml-runner: last words: stage=$(cat "$state/stage" 2>/dev/null || echo start) cause=$1 status=$2"
}

end() {
  tries=0
  # Somebody else is ending it, or was about to: wait, but not for ever.
  until claim; do
    tries=$((tries + 1))
    [ "$tries" -le 120 ] || break
    sleep 1
  done
  if [ -n "$follower" ]; then sleep 1; fi # it shows the runner's last lines
  last_words "$1" "$2"
  power_off
}

power_off() {
  if [ "$machine" = local ]; then end_local_processes; fi
  for way in 'systemctl poweroff --force' 'shutdown -h now' 'poweroff -f' 'poweroff'; do
    # shellcheck disable=SC2086 # the words of one command
    $way >/dev/null 2>&1 && sleep 60
  done
  { echo 1 >/proc/sys/kernel/sysrq; echo o >/proc/sysrq-trigger; } 2>/dev/null
  exit 1
}

instance_pids() {
  if [ -n "${CML_INSTANCE:-}" ]; then
    grep -lzsxF "CML_INSTANCE=$CML_INSTANCE" /proc/[0-9]*/environ | cut -d/ -f3
  else
    echo "$$ $helpers $(cat "$shared/pid" 2>/dev/null)"
  fi
}

signal_others() {
  read -r self _ </proc/self/stat
  some=1
  for pid in $(instance_pids); do
    if [ "$pid" != "$self" ] && kill -s "$1" "$pid" 2>/dev/null; then some=0; fi
  done
  return "$some"
}

# Where sleep knows parts of a second, a machine that has ended does not wait out a whole one.
pause() { sleep 0.1 2>/dev/null || sleep 1; }

end_local_processes() {
  trap '' TERM
  signal_others TERM
  grace=$(($(uptime_seconds) + 5))
  while [ "$(uptime_seconds)" -lt "$grace" ] && signal_others 0; do pause; done
  # A killed process takes its time too, and one that was just born was not on the list.
  grace=$(($(uptime_seconds) + 10))
  while [ "$(uptime_seconds)" -lt "$grace" ] && signal_others KILL; do pause; done
  exit 0
}

# ---- the watchers ----

# By the wall clock and by the time since boot, whichever comes first: neither a clock that was set back nor one that
# was wrong at boot gives the machine more time.
watch_deadline() {
  { echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null || :
  left=$((deadline - $(date +%s)))
  if [ "$left" -gt "$lifetime" ]; then left=$lifetime; fi
  last_uptime=$(($(uptime_seconds) + left))
  while [ "$(date +%s)" -lt "$deadline" ] && [ "$(uptime_seconds)" -lt "$last_uptime" ]; do sleep 1; done
  claim || :
  last_words deadline 0
  power_off
}

# The second net, should this script and its watcher be killed. A service manager of the user's own box is left alone.
arm_service_manager() {
  [ "$machine" != local ] && [ -d /run/systemd/system ] || return 0
  left=$((deadline - $(date +%s)))
  [ "$left" -gt 1 ] || left=1
  systemd-run --quiet --unit="cml-deadline-$launch" --on-active="${left}s" \
    systemctl poweroff --force >/dev/null 2>&1 || :
}

listening() { grep -q 'Listening for Jobs' "$log" 2>/dev/null; }

count() { grep -c "$1" "$2" 2>/dev/null || :; }

jobs_started() { echo "$(count 'Running job: ' "$log") $(count started "$shared/jobs")"; }

# The runner's own words come some seconds before the hook's mark; either is enough.
busy() {
  [ -e "$shared/busy" ] && return 0
  running=$(count 'Running job: ' "$log")
  [ "${running:-0}" -gt "$(count 'completed with result: ' "$log")" ]
}

watch_runner() {
  limit=$((booted + boot_timeout))
  until listening; do
    if [ "$(uptime_seconds)" -ge "$limit" ]; then end boot_timeout 1; fi
    sleep 1
  done
  stage listening
  if [ "$idle_timeout" = never ]; then return; fi
  idle_since=$(uptime_seconds)
  jobs_before=$(jobs_started)
  while :; do
    sleep 1
    jobs_now=$(jobs_started)
    if busy || [ "$jobs_now" != "$jobs_before" ]; then
      idle_since=$(uptime_seconds)
      jobs_before=$jobs_now
    elif [ "$(($(uptime_seconds) - idle_since))" -ge "$idle_timeout" ] && claim; then
      # A job may have come since we looked.
      if busy; then
        rmdir "$state/ending"
        continue
      fi
      stop_runner
      last_words idle_timeout 0
      power_off
    fi
  done
}

# run.sh hands the signal to the listener, which finishes what it does and tells GitHub.
stop_runner() {
  pid=$(cat "$shared/pid" 2>/dev/null) || return 0
  kill -s TERM "$pid" 2>/dev/null
  tries=0
  # One that took a job at this very moment is waited for: only the deadline ends it.
  while kill -s 0 "$pid" 2>/dev/null && { [ "$tries" -lt 35 ] || busy; }; do
    sleep 1
    tries=$((tries + 1))
  done
}

# ---- the machine ----

make_user() {
  if [ "$machine" = local ]; then return; fi
  if ! id runner >/dev/null 2>&1; then
    useradd --create-home --home-dir "$runner_home" --shell /bin/bash runner || end user "$?"
  fi
  for group in docker sudo video render; do
    if getent group "$group" >/dev/null; then usermod --append --groups "$group" runner; fi
  done
  if [ -d /etc/sudoers.d ]; then
    echo 'runner ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cml-runner
    chmod 0440 /etc/sudoers.d/90-cml-runner
  fi
  mkdir -p "$runner_home"
  chown runner: "$runner_home"
  if [ -n "$ssh_authorized_key" ]; then
    for user in runner ubuntu ec2-user admin; do authorize "$user"; done
  fi
}

authorize() {
  home=$(getent passwd "$1" | cut -d: -f6)
  [ -n "$home" ] || return 0
  mkdir -p "$home/.ssh"
  printf '%s\n' "$ssh_authorized_key" >>"$home/.ssh/authorized_keys"
  chown -R "$1:" "$home/.ssh"
}

# The user data, and so the registration, can be read from the metadata service: not by the job. A machine with an
# instance profile has it for the job's own use, so there the service stays open.
close_metadata() {
  if [ "$machine" = local ] || has_instance_profile; then return; fi
  iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner runner -j REJECT 2>/dev/null && return
  nft -f - 2>/dev/null <<'RULES' && return
table ip cml_runner {
  chain output {
    type filter hook output priority 0;
    ip daddr 169.254.169.254 meta skuid "runner" reject
  }
}
RULES
  say "cml-runner[$launch]: neither iptables nor nft can close the metadata service to the job"
}

has_instance_profile() {
  metadata=http://169.254.169.254/latest
  session=$(curl -sf --max-time 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token") || return 1
  curl -sf --max-time 3 -o /dev/null -H "X-aws-ec2-metadata-token: $session" "$metadata/meta-data/iam/security-credentials/"
}

run_startup_script() {
  if [ -z "$startup_script" ]; then return; fi
  stage startup_script
  printf '%s' "$startup_script" | base64 -d >"$state/startup" || end startup_script "$?"
  shell='sh'
  if command -v bash >/dev/null; then shell=bash; fi
  # Its first line may name another interpreter.
  case $(head -n 1 "$state/startup" | tr -d '\0') in
    '#!'*) chmod 0700 "$state/startup" && shell= ;;
  esac
  (umask 022 && exec ${shell:+"$shell"} "$state/startup" </dev/null)
  code=$?
  rm -f "$state/startup"
  if [ "$code" -ne 0 ]; then end startup_script "$code"; fi
}

# ---- the runner ----

download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --continue-at - --connect-timeout 20 --speed-limit 1024 \
      --speed-time 60 --max-time 1800 --output "$2" "$1"
  else
    wget --quiet --continue --tries=1 --timeout=60 --output-document="$2" "$1"
  fi
}

fetch_runner() {
  if [ "$machine" != local ] && [ -x /opt/actions-runner/run.sh ]; then
    runner_dir=/opt/actions-runner
    stage fetch "in the image"
    return
  fi
  stage fetch
  package=$state/runner.tar.gz
  tries=1
  until download "$package_url" "$package"; do
    code=$?
    if [ "$tries" -ge 5 ]; then end fetch "$code"; fi
    # A transfer that broke off (18, 28, 56) goes on where it was; anything else starts afresh.
    case $code in 18 | 28 | 56) ;; *) rm -f "$package" ;; esac
    sleep $((tries * 2))
    tries=$((tries + 1))
  done
  if [ -n "$package_sha256" ]; then
    stage verify
    found=$(sha256sum "$package" | cut -d' ' -f1)
    if [ "$found" != "$package_sha256" ]; then
      say "cml-runner[$launch]: the runner package has SHA-256 $found, expected $package_sha256"
      end checksum 1
    fi
  fi
  stage unpack
  mkdir -p "$runner_dir"
  tar -xzf "$package" -C "$runner_dir" --no-same-owner || end unpack "$?"
  rm -f "$package"
}

# What the runner's own libraries need; only images without them pay for it.
install_dependencies() {
  if [ "$machine" = local ] || ldconfig -p 2>/dev/null | grep -q libicuuc; then return; fi
  if [ ! -x "$runner_dir/bin/installdependencies.sh" ]; then return; fi
  stage dependencies
  "$runner_dir/bin/installdependencies.sh" </dev/null || say "cml-runner[$launch]: installdependencies.sh failed: $?"
}

# The two hooks must never fail: a failing hook fails the job.
write_hooks() {
  mkdir -p "$shared"
  cat >"$shared/job-started.sh" <<'HOOK'
#!/bin/sh
{ echo started >>"${0%/*}/jobs"; : >"${0%/*}/busy"; } 2>/dev/null || :
exit 0
HOOK
  cat >"$shared/job-completed.sh" <<'HOOK'
#!/bin/sh
rm -f "${0%/*}/busy" 2>/dev/null || :
exit 0
HOOK
  # Runs as the runner's user. The secret comes by a file that only this user reads, and goes on by the environment.
  cat >"$shared/start.sh" <<'START'
#!/bin/sh
action=$1 runner_dir=$2 name=$3 url=$4 labels=$5 group=$6
shared=${0%/*}
HOME=${shared%/*}
export HOME
cd "$runner_dir" || exit 1
if [ "$(id -u)" -eq 0 ]; then export RUNNER_ALLOW_RUNASROOT=1; fi
if [ "$action" = configure ]; then
  ACTIONS_RUNNER_INPUT_TOKEN=$(cat "$shared/registration")
  export ACTIONS_RUNNER_INPUT_TOKEN
  rm -f "$shared/registration"
  exec ./config.sh --unattended --replace --url "$url" --name "$name" --labels "$labels" ${group:+--runnergroup "$group"}
fi
if [ -e "$shared/registration" ]; then
  ACTIONS_RUNNER_INPUT_JITCONFIG=$(cat "$shared/registration")
  export ACTIONS_RUNNER_INPUT_JITCONFIG
  rm -f "$shared/registration"
fi
export ACTIONS_RUNNER_HOOK_JOB_STARTED="$shared/job-started.sh"
export ACTIONS_RUNNER_HOOK_JOB_COMPLETED="$shared/job-completed.sh"
export RUNNER_MANUALLY_TRAP_SIG=1
echo "$$" >"$shared/pid"
umask 022 # jobs make files as anywhere else
exec ./run.sh
START
  chmod 0700 "$shared"/*.sh
  printf '%s' "$registration" >"$shared/registration"
  registration=
  if [ "$machine" != local ]; then chown -R runner: "$shared" "$runner_dir"; fi
}

start_script() {
  set -- "$shared/start.sh" "$1" "$runner_dir" "$runner_name" "$runner_url" "$runner_labels" "$runner_group"
  if [ "$machine" = local ]; then
    sh "$@"
  elif command -v runuser >/dev/null; then
    runuser -u runner -- sh "$@"
  else
    # shellcheck disable=SC2016 # expanded by the inner shell
    su -s /bin/sh runner -c 'exec sh "$@"' -- sh "$@"
  fi
}

# The runner is this script's foreground process, so that its jobs get signals as anywhere else: a shell's background
# processes ignore interrupts, and so would every job's steps.
run_runner() {
  : >"$log"
  if [ "$machine" = local ]; then tail -f "$log" & else tail -f "$log" | tee /dev/console & fi
  follower=$!
  helpers="$helpers $follower"
  if [ "$registration_kind" = token ]; then
    stage configure
    start_script configure >>"$log" 2>&1 </dev/null
    code=$?
    if [ "$code" -ne 0 ]; then end configure "$code"; fi
  fi
  stage run
  start_script run >>"$log" 2>&1 </dev/null
  code=$?
  if [ "$(jobs_started)" = "0 " ] || [ "$(jobs_started)" = "0 0" ]; then end runner_exited "$code"; fi
  end job_done "$code"
}

# ---- from top to bottom ----

mkdir -p "$state"
booted=$(uptime_seconds)
# cloud-init counts as running until this script returns, and jobs may wait for cloud-init: go on as a service.
if [ "$machine" != local ] && [ -z "${CML_DETACHED:-}" ] && [ -d /run/systemd/system ]; then
  arm_service_manager
  if cp -- "$0" "$state/bootstrap" && systemd-run --quiet --unit=cml-runner --setenv=CML_DETACHED=1 --property=IgnoreSIGPIPE=no \
    --property=TasksMax=infinity sh "$state/bootstrap"; then
    exit 0
  fi
fi
rm -f "$state/bootstrap"
watch_deadline &
helpers="$helpers $!"
[ -n "${CML_DETACHED:-}" ] || arm_service_manager
trap 'if claim; then last_words stopped 143; fi; exit 143' TERM
stage start
watch_runner &
helpers="$helpers $!"
stage prepare
make_user
close_metadata
run_startup_script
fetch_runner
install_dependencies
write_hooks
run_runner
