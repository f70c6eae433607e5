# ---- from top to bottom ----

# The rest of cloud-init is not waited for, and jobs may wait for cloud-init: go on as a service of our own. If that dies,
# the power goes; and so it does at the deadline, whether this script still lives or not. That last net is kept on the disk
# too, for a boot that cloud-init does not take part in.
go_on_as_a_service() {
  cp -- "$0" "$state/bootstrap" || return 1
  umask 022
  write_deadline /run/systemd/system
  cat >/run/systemd/system/cml-runner.service <<UNIT
[Unit]
Description=cml-runner $launch
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=exec
Environment=CML_DETACHED=1
ExecStart=/bin/sh $state/bootstrap
OOMScoreAdjust=-900
IgnoreSIGPIPE=no
TasksMax=infinity
UNIT
  # Where something ignores that the machine is to end, it is not waited for as long as by default (90 s).
  mkdir -p /run/systemd/system.conf.d
  printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >/run/systemd/system.conf.d/cml-runner.conf
  # What a job does to its memory and its processes stays in a control group of its own.
  cat >/run/systemd/system/cml-job.service <<UNIT
[Unit]
Description=GitHub Actions runner
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
[Service]
Type=exec
User=runner
EnvironmentFile=$state/environment
ExecStart=/bin/sh $shared/start.sh
ExecStartPost=+/bin/rm -f $state/environment
StandardOutput=append:$log
StandardError=inherit
KillMode=mixed
TimeoutStopSec=45
TasksMax=infinity
LimitNOFILE=1048576
OOMPolicy=continue
IgnoreSIGPIPE=no
UNIT
  systemctl daemon-reload && systemctl start --no-block cml-deadline.timer cml-runner.service || return 1
  wants=/etc/systemd/system/timers.target.wants
  { mkdir -p "$wants" && write_deadline /etc/systemd/system && ln -sf ../cml-deadline.timer "$wants/"; } 2>/dev/null || :
}

write_deadline() {
  cat >"$1/cml-deadline.timer" <<UNIT &&
[Unit]
Description=The end of cml-runner $launch
DefaultDependencies=no
[Timer]
OnCalendar=$(date -u -d "@$((deadline + 15))" '+%Y-%m-%d %H:%M:%S UTC')
OnActiveSec=$(($(left_to_live) + 15))
AccuracySec=1s
UNIT
    cat >"$1/cml-deadline.service" <<UNIT
[Unit]
DefaultDependencies=no
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=-/bin/sh -c 'printf "\\ncml-runner: last words: stage=unknown cause=deadline status=1\\n" >/dev/console'
UNIT
}

mkdir -p "$state" "$store"
if [ "$machine" != local ] && [ -z "${CML_DETACHED:-}" ]; then
  # A boothook runs at every boot. The registration is spent, and so is the job: this boot is the end.
  if [ -e "$store/$launch" ]; then
    echo reboot >"$state/stage"
    end rebooted 0
  fi
  : >"$store/$launch"
  if has_systemd && go_on_as_a_service; then exit 0; fi
  cp -- "$0" "$state/bootstrap"
  CML_DETACHED=1 setsid sh "$state/bootstrap" </dev/null >/dev/null 2>&1 &
  exit 0
fi
booted=$(uptime_seconds)
# What must be read from this file is read: the open file outlives its name.
rm -f -- "$0"
watch_deadline &
helpers="$helpers $!"
trap 'claim; last_words stopped 143; exit 143' TERM
stage start "$(date -u '+%Y-%m-%dT%H:%M:%SZ')"
watch_runner &
helpers="$helpers $!"
while IFS= read -r pair; do [ -z "$pair" ] || export "${pair?}"; done <<VARIABLES
$(proxies)
VARIABLES
fetch_runner &
fetching=$!
helpers="$helpers $fetching"
make_user
close_metadata
write_hooks
trust_certificates
prepare_scratch
mount_cache
install_packages
run_startup_script
check_gpu # after the script, which may have brought the driver
stage fetch
wait "$fetching"
runner_dir=$(cat "$state/runner-dir" 2>/dev/null) || end fetch 1
if [ -d /mnt/scratch/work ]; then
  rm -rf "$runner_dir/_work"
  ln -s /mnt/scratch/work "$runner_dir/_work"
fi
install_dependencies
run_runner
