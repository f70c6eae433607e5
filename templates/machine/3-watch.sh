# ---- the watchers ----

# Seconds that are left, by the wall clock, but never more than the machine was given: it may be wrong at boot.
left_to_live() {
  left=$((deadline - $(date +%s)))
  if [ "$left" -gt "$lifetime" ]; then left=$lifetime; fi
  if [ "$left" -lt 1 ]; then left=1; fi
  echo "$left"
}

# By the wall clock and by the time since boot, whichever comes first: a clock that is set back gives no more time. On your own
# computer by the time since boot alone: its clock may be set forward by days while a job works.
watch_deadline() {
  { echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null || :
  last_uptime=$(($(uptime_seconds) + $(left_to_live)))
  while [ "$(uptime_seconds)" -lt "$last_uptime" ] && { [ "$machine" = local ] || [ "$(date +%s)" -lt "$deadline" ]; }; do sleep 1; done
  claim || :
  last_words deadline 0
  power_off
}

# The runner's own lines, `2026-11-29 13:00:01Z: ...` (JobDispatcher.cs in actions/runner), matched as a whole: the name of a
# job stands in them, and it may say anything.
said_at='^[0-9]\{4\}-[0-9][0-9]-[0-9][0-9] [0-9:]\{8\}Z: '
job_begins="${said_at}Running job: "
job_ends="${said_at}Job .* completed with result: [A-Za-z]*\$"

listening() { grep -q "${said_at}Listening for Jobs" "$log" 2>/dev/null; }

count() { grep -c "$1" "$2" 2>/dev/null || :; }

jobs_started() { echo "$(count "$job_begins" "$log") $(count started "$shared/jobs")"; }

# Whether the process that runs a job is there.
worker_runs() {
  grep -qsx 'Runner\.Worker' /proc/[0-9]*/comm || return 1
  # Of a machine that is not ours alone, only our own.
  [ "$machine" = local ] || return 0
  for pid in $(instance_pids); do
    if grep -qsx 'Runner\.Worker' "/proc/$pid/comm"; then return 0; fi
  done
  return 1
}

# A worker that was killed runs no hook at its end; the runner's own words are then all there is.
forget_stale_mark() {
  running=$(count "$job_begins" "$log")
  if [ -e "$shared/busy" ] && [ "${running:-0}" -gt 0 ] && [ "$(count "$job_ends" "$log")" -ge "$running" ] && ! worker_runs; then
    stale=$((${stale:-0} + 1))
    if [ "$stale" -ge 10 ]; then rm -f "$shared/busy"; fi
  else
    stale=0
  fi
}

# The runner's own words come some seconds before the hook's mark; either is enough. What looks like a job's end in them may be
# the name of one: it is over once its worker has gone.
busy() {
  [ -e "$shared/busy" ] && return 0
  running=$(count "$job_begins" "$log")
  [ "${running:-0}" -gt "$(count "$job_ends" "$log")" ] || worker_runs
}

watch_runner() {
  limit=$((booted + boot_timeout))
  until listening; do
    if [ "$(uptime_seconds)" -ge "$limit" ]; then end boot_timeout 1; fi
    sleep 1
  done
  stage listening
  if [ "$machine" = local ]; then
    :
  elif command -v curl >/dev/null; then
    { describe_machine; watch_notices; } &
  else
    tell 'there is no curl here: notices of interruption go unheard'
  fi
  if [ "$idle_timeout" = never ]; then return; fi
  idle_since=$(uptime_seconds)
  jobs_before=$(jobs_started)
  while :; do
    sleep 1
    forget_stale_mark
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

# run.sh hands the signal to the listener, which ends its session. A job that GitHub has assigned in this very second and that the
# listener has not told of yet is cancelled by that; one that it has told of is never idle.
stop_runner() {
  pid=$(cat "$shared/pid" 2>/dev/null) || return 0
  kill -s TERM "$pid" 2>/dev/null
  tries=0
  # Should one have begun all the same, it is waited for: only the deadline ends it (L3).
  while kill -s 0 "$pid" 2>/dev/null && { [ "$tries" -lt 35 ] || busy; }; do
    sleep 1
    tries=$((tries + 1))
  done
}

# ---- the cloud wants the machine back ----

# PATH, and options of curl's.
imds() {
  below=$1
  shift
  curl -s --noproxy '*' --max-time 3 -H "X-aws-ec2-metadata-token: $imds_token" "$@" "http://169.254.169.254/latest/$below"
}

notice() { imds "meta-data/$1" --output "$state/imds" --write-out '%{http_code}'; }

imds_session() {
  imds_token=$(curl -sf --noproxy '*' --max-time 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' \
    http://169.254.169.254/latest/api/token)
}

# What a report may say of the machine; the job may not ask for it itself.
describe_machine() {
  # Once more each time: the address may take its time.
  imds_session || { sleep 10 && imds_session; } || { sleep 20 && imds_session; } || return 0
  for fact in instance-type placement/availability-zone instance-life-cycle; do
    line "${fact##*/}=$(imds "meta-data/$fact" --fail)"
  done >>"$facts/machine"
  imds dynamic/instance-identity/document --fail |
    sed -n 's/.*"pendingTime" *: *"\([^"]*\)".*/since=\1/p' >>"$facts/machine"
}

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
watch_notices() {
  told=''
  while :; do
    case $(notice spot/instance-action) in
      200) interrupted && return ;;
      401 | 000) imds_session || sleep 25 ;;
    esac
    if [ -z "$told" ] && [ "$(notice events/recommendations/rebalance)" = 200 ]; then
      told=1
      tell 'notice: rebalance: the cloud may soon want this machine back'
      # It must not keep us from hearing of an interruption.
      run_interruption_hook rebalance '' 60 &
    fi
    sleep 5
  done
}

# Two minutes, as a rule: the owner's hook, a last chance for the job, and the runner is stopped so that GitHub hears of it.
interrupted() {
  at=$(sed -n 's/.*"time" *: *"\([^"]*\)".*/\1/p' "$state/imds")
  left=$(($(date -d "$at" +%s 2>/dev/null || echo 0) - $(date +%s)))
  if [ "$left" -lt -300 ] || [ "$left" -gt 300 ]; then left=120; fi # a clock that is wrong
  if [ "$left" -lt 0 ]; then left=0; fi
  over=$(($(uptime_seconds) + left))
  tell "notice: interruption seconds_left=$left"
  run_interruption_hook interruption "$left" "$((left - 40))"
  while busy && [ "$(uptime_seconds)" -lt "$((over - 40))" ]; do sleep 1; done
  if busy; then tell 'notice: the job is told to stop'; fi
  echo "$((over - $(uptime_seconds) + 60))" >"$state/interrupted"
  kill -s TERM "$(cat "$shared/pid" 2>/dev/null)" 2>/dev/null
}

# NOTICE SECONDS_LEFT LIMIT
run_interruption_hook() {
  [ -e "$shared/on-interruption" ] || return 0
  [ "$3" -ge 5 ] || set -- "$1" "$2" 5
  # shellcheck disable=SC2046 # the words of one command
  CML_NOTICE=$1 CML_SECONDS_LEFT=$2 timeout "$3" $(as_runner) $(interpreter "$shared/on-interruption") \
    "$shared/on-interruption" </dev/null >>"$log" 2>&1 || tell "notice: the hook failed: $?"
}
