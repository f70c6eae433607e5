# ---- the machine ----

make_user() {
  if [ "$machine" != local ]; then make_unprivileged_user; fi
  touch "$state/user"
}

make_unprivileged_user() {
  if ! id runner >/dev/null 2>&1; then
    useradd --create-home --home-dir "$runner_home" --shell /bin/bash runner || end user "$?"
  fi
  if [ -d /etc/sudoers.d ]; then
    echo 'runner ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cml-runner
    chmod 0440 /etc/sudoers.d/90-cml-runner
  fi
  mkdir -p "$runner_home"
  chown runner: "$runner_home"
}

# Once packages and the startup script have made their groups too.
join_groups() {
  if [ "$machine" = local ]; then return; fi
  for group in docker sudo video render; do
    if getent group "$group" >/dev/null; then usermod --append --groups "$group" runner; fi
  done
}

# In the background: cloud-init makes the image's own users while we run.
authorize_key() {
  if [ -z "$ssh_authorized_key" ] || [ "$machine" = local ]; then return; fi
  wait_for_cloud_init
  for user in runner ubuntu ec2-user admin debian; do
    home=$(getent passwd "$user" | cut -d: -f6)
    [ -n "$home" ] || continue
    mkdir -p "$home/.ssh" && chmod 0700 "$home/.ssh"
    printf '%s\n' "$ssh_authorized_key" >>"$home/.ssh/authorized_keys"
    chown -R "$user:" "$home/.ssh"
  done
}

# It sets mirrors, users and mounts, and holds apt's locks, while we run. It does not wait for us.
wait_for_cloud_init() {
  if [ "$machine" = local ] || ! command -v cloud-init >/dev/null; then return; fi
  timeout "$(left_to_boot)" cloud-init status --wait >/dev/null 2>&1 </dev/null
}

# The words before a command that is to run as the runner's user.
as_runner() {
  if [ "$machine" = local ]; then return; fi
  # Not runuser: it stays beside what it starts, and loses a signal that comes early.
  echo "setpriv --reuid=runner --regid=$(id -g runner) --init-groups env HOME=$runner_home USER=runner LOGNAME=runner"
}

# The words that run a script: those of its first line, or a shell. It need not be executable, nor its file system.
interpreter() {
  first=$(head -n 1 "$1" | tr -d '\0')
  case $first in
    '#!'*) line "${first#??}" ;;
    *) if command -v bash >/dev/null; then echo bash; else echo sh; fi ;;
  esac
}

# The user data, and so the registration, can be read from the metadata service: not by the job. Its control group is closed too
# (IPAddressDeny in 6-main.sh), which needs no tool; the rule holds for whatever else the user runs.
close_metadata() {
  if [ "$machine" = local ] || [ "$metadata" = open ]; then return; fi
  nft -f - 2>/dev/null <<'RULES' && return
table inet cml_runner
delete table inet cml_runner
table inet cml_runner {
  chain output {
    type filter hook output priority 0;
    ip daddr 169.254.169.254 meta skuid "runner" reject
    ip6 daddr fd00:ec2::254 meta skuid "runner" reject
  }
}
RULES
  # Launches ask for no IPv6 address of the service; an image without ip6tables is no worse off for it.
  ip6tables -I OUTPUT -d fd00:ec2::254 -m owner --uid-owner runner -j REJECT 2>/dev/null
  iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner runner -j REJECT 2>/dev/null && return
  if ! has_systemd; then tell 'neither nft nor iptables can close the metadata service to the job'; fi
}

# A job that needs a GPU must not be taken by a machine whose GPU does not work.
check_gpu() {
  if [ -z "$gpu" ] || [ "$machine" = local ]; then return; fi
  stage gpu
  if ! command -v nvidia-smi >/dev/null; then
    if grep -q 0x1002 /sys/bus/pci/devices/*/vendor 2>/dev/null; then
      tell 'the GPU is one of AMD, which this check for an NVIDIA driver does not know: use a type with an NVIDIA GPU'
    else
      tell 'the image has no NVIDIA driver (nvidia-smi): use an image that has it, such as ubuntu-22.04-gpu'
    fi
    end gpu_driver_missing 1
  fi
  # A driver that is still being loaded does not answer at once.
  tries=0
  while :; do
    found=$(timeout 60 nvidia-smi --list-gpus 2>&1)
    code=$?
    tries=$((tries + 1))
    if [ "$code" -eq 0 ] || [ "$tries" -ge 5 ]; then break; fi
    sleep 2
  done
  case $code:$found in
    0:*GPU*) tell "$(echo "$found" | head -n 1 | sed 's/ (UUID.*//')" ;;
    *)
      tell "nvidia-smi finds no GPU that works: $(echo "$found" | head -n 3)"
      tell 'a driver with the open kernel module does not serve GPUs from before Turing (V100, M60): those need an image with the proprietary one'
      end gpu "$code"
      ;;
  esac
  if command -v docker >/dev/null && ! command -v nvidia-ctk >/dev/null; then
    tell 'Docker is here without the NVIDIA container toolkit: containers of jobs will see no GPU'
  fi
}

# What the GPUs do, for reports: a line for each every 15 s, and never more than 20,000.
watch_gpus() {
  while :; do
    timeout 10 nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits \
      >>"$facts/gpu" 2>/dev/null
    if [ "$(wc -l <"$facts/gpu")" -gt 20000 ]; then
      tail -n 10000 "$facts/gpu" >"$facts/gpu.new" && mv "$facts/gpu.new" "$facts/gpu"
    fi
    sleep 15
  done
}

# Seconds until the boot must be over, with some left to say why it was not.
left_to_boot() {
  left=$((booted + boot_timeout - $(uptime_seconds) - 5))
  [ "$left" -ge 1 ] || left=1
  echo "$left"
}

# Others hold apt's locks at boot, and mirrors fail: tried for a minute and a half.
persistently() {
  tries=1
  until timeout "$(left_to_boot)" "$@" </dev/null; do
    code=$?
    if [ "$tries" -ge 8 ] || [ "$(left_to_boot)" -le 1 ]; then return "$code"; fi
    sleep $((tries * 3))
    tries=$((tries + 1))
  done
}

install_now() {
  if command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    persistently apt-get -qq -o DPkg::Lock::Timeout=120 update &&
      persistently apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
  elif command -v dnf >/dev/null; then
    persistently dnf --quiet --assumeyes install "$@"
  else
    tell 'neither apt-get nor dnf is here'
    return 1
  fi
}

install_packages() {
  if [ -z "$packages" ] || [ "$machine" = local ]; then return; fi
  stage packages "$packages"
  wait_for_cloud_init
  # shellcheck disable=SC2086 # several packages
  install_now $packages || end packages "$?"
}

# Deep Learning AMIs stripe and mount the instance's own disks themselves, in a service that may still be at it. Starting it
# waits for its end, and does nothing where it has been. 2: it has not ended.
# https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html (nvme_location)
dlami_scratch() {
  if has_systemd && systemctl cat dlami-nvme.service >/dev/null 2>&1; then
    timeout 60 systemctl start dlami-nvme.service >/dev/null 2>&1 </dev/null || [ "$?" -ne 124 ] || return 2
  fi
  mountpoint -q /opt/dlami/nvme || return 1
  mkdir -p /opt/dlami/nvme/cml-runner /mnt/scratch &&
    mount --bind /opt/dlami/nvme/cml-runner /mnt/scratch
}

# Whether nothing is on a disk: no file system in use, no partition, no stripe or volume over it.
is_unused() {
  [ "$(lsblk --noheadings --output NAME "$1" 2>/dev/null | wc -l)" -eq 1 ] &&
    ! lsblk --noheadings --output MOUNTPOINT "$1" | grep -q .
}

# The instance's own disks, striped where there are several: fast, and gone with the machine.
prepare_scratch() {
  if [ "$scratch" != auto ] || [ "$machine" = local ]; then return; fi
  if dlami_scratch; then
    mkdir -p /mnt/scratch/work && chown runner: /mnt/scratch/work
    tell 'scratch: /mnt/scratch, on the disks that the image has mounted on /opt/dlami/nvme'
    return
  elif [ "$?" -eq 2 ]; then
    tell "scratch: the image's dlami-nvme.service is still at work on the disks; the root disk serves"
    return
  fi
  set --
  for disk in /dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*; do
    case $disk in *-part* | *_[0-9] | *-ns-* | *'*') continue ;; esac
    if is_unused "$disk"; then set -- "$@" "$disk"; else tell "scratch: $disk is in use and stays as it is"; fi
  done
  if [ "$#" -eq 0 ]; then
    tell 'scratch: this machine has no disk of its own that is free; the root disk serves'
    return
  fi
  disk=$1
  if [ "$#" -gt 1 ] && command -v mdadm >/dev/null; then
    mdadm --create /dev/md/scratch --level=0 --raid-devices="$#" --run "$@" >/dev/null 2>&1 && disk=/dev/md/scratch
  fi
  # Discarding a fresh disk first would take seconds for nothing.
  if mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=1 "$disk" && mkdir -p /mnt/scratch && mount -o noatime "$disk" /mnt/scratch; then
    mkdir -p /mnt/scratch/work && chown runner: /mnt/scratch/work
    tell "scratch: $# disk(s) on /mnt/scratch"
  else
    tell 'scratch: the disk cannot be used; the root disk serves'
  fi
}

# The volume that was attached as /dev/sdf, or the next letter that the image left free: so it is called on Xen, and never on Nitro, where it is the EBS disk without a use.
# https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html
mount_cache() {
  if [ -z "$cache" ] || [ "$machine" = local ]; then return; fi
  for disk in /dev/sd[f-p] /dev/xvd[f-p] /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol*; do
    case $disk in *-part* | *_[0-9] | *-ns-*) continue ;; esac
    if [ ! -b "$disk" ] || lsblk --noheadings --output MOUNTPOINT "$disk" | grep -q .; then continue; fi
    if mkdir -p "$cache" && mount -o noatime "$disk" "$cache"; then
      chown runner: "$cache"
      tell "cache: $disk on $cache"
      return
    fi
  done
  tell "cache: no volume could be mounted on $cache; the job goes without"
}

trust_certificates() {
  if [ -z "$ca_certificates" ] || [ "$machine" = local ]; then return; fi
  for place in /usr/local/share/ca-certificates:update-ca-certificates /etc/pki/ca-trust/source/anchors:update-ca-trust; do
    command -v "${place#*:}" >/dev/null || continue
    unpacked "$ca_certificates" >"${place%:*}/cml-runner.crt" && chmod 0644 "${place%:*}/cml-runner.crt"
    "${place#*:}" >/dev/null 2>&1 && return
  done
  tell 'the extra certificates cannot be trusted: neither update-ca-certificates nor update-ca-trust does it'
  end ca_certificates 1
}

run_startup_script() {
  if [ -z "$startup_script" ]; then return; fi
  stage startup_script
  wait_for_cloud_init
  unpacked "$startup_script" >"$state/startup" || end startup_script "$?"
  # shellcheck disable=SC2046 # the words of one command
  timeout --kill-after=10 "$(left_to_boot)" $(interpreter "$state/startup") "$state/startup" </dev/null
  code=$?
  rm -f "$state/startup"
  case $code in
    0) ;;
    124 | 137) end startup_script_timeout "$code" ;;
    *) end startup_script "$code" ;;
  esac
}
