# ---- words ----

uptime_seconds() {
  read -r up _ </proc/uptime
  echo "${up%%.*}"
}

say() {
  line "$1"
  if [ "$machine" != local ]; then
    { line "$1" >/dev/console; } 2>/dev/null || :
  fi
}

tell() { say "cml-runner[$launch]: $1"; }

stage() {
  echo "$1" >"$state/stage"
  read -r up _ </proc/uptime
  tell "stage $1 uptime=${up}s${2:+ $2}"
}

# ---- the end ----

# The first who ends the machine says why; marks that only one can make decide.
claim() { mkdir "$state/ending" 2>/dev/null; }

last_words() {
  mkdir "$state/said" 2>/dev/null || return 0
  # A login prompt may stand in the line.
  [ "$machine" = local ] || say ''
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
  if [ -e "$state/interrupted" ]; then
    last_words interrupted "$2"
    # What the cloud ends itself may cost nothing; what ends before that is billed. Should it not come: the power goes.
    sleep "$(cat "$state/interrupted")"
    power_off
  fi
  last_words "$1" "$2"
  power_off
}

# From the gentlest way that leaves no choice to the one that asks nobody.
power_off() {
  if [ "$machine" = local ]; then end_local_processes; fi
  # What will not go when it is told to would hold the machine back.
  timeout 10 systemctl kill --signal=KILL cml-job.service >/dev/null 2>&1
  for way in 'systemctl poweroff --force' 'systemctl poweroff --force --force' 'shutdown -h now' 'poweroff -f' 'poweroff'; do
    # shellcheck disable=SC2086 # the words of one command
    timeout 20 $way >/dev/null 2>&1 && sleep 30
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
