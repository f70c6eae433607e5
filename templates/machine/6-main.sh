# ---- from top to bottom ----

# The rest of cloud-init is not waited for, and jobs may wait for cloud-init: go on as a service of our own. If that dies,
# the power goes; and so it does at the deadline, whether this script still lives or not. That last net is kept on the disk
# too, for a boot that cloud-init does not take part in.
go_on_as_a_service() {
  cp -- "$0" "$state/bootstrap" || return 1
  # Of an earlier machine whose disk became this image: its time is not ours, and units on the disk come first.
  wants=/etc/systemd/system/timers.target.wants
  rm -f "$wants/cml-deadline.timer" /etc/systemd/system/cml-deadline.timer /etc/systemd/system/cml-deadline.service
  units=/run/systemd/system
  deadline_words='printf "\\ncml-runner: last words: stage=unknown cause=deadline status=1\\n" >/dev/console'
  write_deadline_timer $units
  cat >$units/cml-deadline.service <<UNIT
[Unit]
DefaultDependencies=no
IgnoreOnIsolate=yes
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=20
ExecStart=-/bin/sh -c '$deadline_words'
UNIT
  cat >$units/cml-runner.service <<UNIT
[Unit]
Description=cml-runner $launch
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes
RefuseManualStop=yes
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
  # What a job does to its memory and its processes stays in a control group of its own.
  cat >$units/cml-job.service <<UNIT
[Unit]
Description=GitHub Actions runner
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes
RefuseManualStop=yes
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
$([ "$metadata" = open ] || echo IPAddressDeny=169.254.169.254 fd00:ec2::254)
UNIT
  # Where something ignores that the machine is to end, it is not waited for as long as by default (90 s).
  mkdir -p /run/systemd/system.conf.d
  printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >/run/systemd/system.conf.d/cml-runner.conf
  # Ubuntu restarts services whose libraries a job has updated: not the one that the job runs in.
  if [ -d /etc/needrestart/conf.d ]; then
    # shellcheck disable=SC2016 # Perl's variable
    echo '$nrconf{override_rc}{qr(^cml-)} = 0;' >/etc/needrestart/conf.d/cml-runner.conf
  fi
  systemctl daemon-reload && systemctl start --no-block cml-deadline.timer cml-runner.service || return 1
  { mkdir -p "$wants" && write_deadline_timer /etc/systemd/system && write_deadline_of_disk && ln -sf ../cml-deadline.timer "$wants/"; } 2>/dev/null || :
}

write_deadline_timer() {
  cat >"$1/cml-deadline.timer" <<UNIT
[Unit]
Description=The end of cml-runner $launch
DefaultDependencies=no
IgnoreOnIsolate=yes
[Timer]
OnCalendar=$(date -u -d "@$((deadline + 15))" '+%Y-%m-%d %H:%M:%S UTC')
OnActiveSec=$(($(left_to_live) + 15))
AccuracySec=1s
UNIT
}

# Only for this very instance: the disk may become an image.
write_deadline_of_disk() {
  cat >/etc/systemd/system/cml-deadline.service <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=60
ExecStart=/bin/sh -c '[ "\$\$(cat /var/lib/cloud/data/instance-id)" != "${INSTANCE_ID:-none}" ] || { $deadline_words; systemctl poweroff --force; }'
UNIT
}

(umask 077 && mkdir -p "$state" "$store" "$shared")
if [ "$machine" != local ] && [ -z "${CML_DETACHED:-}" ]; then
  # A boothook runs at every boot. The registration is spent, and so is the job: this boot is the end.
  if [ -e "$store/$launch" ]; then
    echo reboot >"$state/stage"
    end rebooted 0
  fi
  if ! has_systemd || ! go_on_as_a_service; then
    cp -- "$0" "$state/bootstrap"
    CML_DETACHED=1 setsid sh "$state/bootstrap" </dev/null >/dev/null 2>&1 &
  fi
  touch "$store/$launch" || tell 'the disk cannot be written'
  exit 0
fi
booted=$(uptime_seconds)
# What must be read from this file is read: the open file outlives its name.
rm -f -- "$0"
watch_deadline &
helpers="$helpers $!"
trap 'claim; last_words stopped 143; exit 143' TERM
now=$(date -u '+%Y-%m-%dT%H:%M:%SZ')
stage start "$now"
mkdir -p "$facts"
printf '%s\n' "machine=$machine" "since=$now" "$offers" >"$facts/machine"
watch_runner &
helpers="$helpers $!"
while IFS= read -r pair; do [ -z "$pair" ] || export "${pair?}"; done <<VARIABLES
$(proxies)
VARIABLES
fetch_runner &
fetching=$!
helpers="$helpers $fetching"
authorize_key &
make_user
close_metadata
write_hooks
trust_certificates
prepare_scratch
mount_cache
install_packages
run_startup_script
check_gpu # after the script, which may have brought the driver
if command -v nvidia-smi >/dev/null; then
  watch_gpus &
  helpers="$helpers $!"
fi
stage fetch
wait "$fetching"
runner_dir=$(cat "$state/runner-dir" 2>/dev/null) || end fetch 1
if [ -d /mnt/scratch/work ]; then
  rm -rf "$runner_dir/_work"
  ln -s /mnt/scratch/work "$runner_dir/_work"
fi
install_dependencies
join_groups
run_runner
