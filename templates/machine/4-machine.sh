# ---- the machine ----

make_user() {
  if [ "$machine" != local ]; then make_unprivileged_user; fi
  : >"$state/user"
}

make_unprivileged_user() {
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

# The words before a command that is to run as the runner's user.
as_runner() {
  if [ "$machine" = local ]; then return; fi
  # Not runuser: it stays beside what it starts, and loses a signal that comes early.
  echo "setpriv --reuid=runner --regid=runner --init-groups env HOME=$runner_home USER=runner LOGNAME=runner"
}

# The words that run a script: those of its first line, or a shell. It need not be executable, nor its file system.
interpreter() {
  first=$(head -n 1 "$1" | tr -d '\0')
  case $first in
    '#!'*) line "${first#??}" ;;
    *) if command -v bash >/dev/null; then echo bash; else echo sh; fi ;;
  esac
}

# The user data, and so the registration, can be read from the metadata service: not by the job.
close_metadata() {
  if [ "$machine" = local ] || [ "$metadata" = open ]; then return; fi
  nft -f - 2>/dev/null <<'RULES' && return
table ip cml_runner
delete table ip cml_runner
table ip cml_runner {
  chain output {
    type filter hook output priority 0;
    ip daddr 169.254.169.254 meta skuid "runner" reject
  }
}
RULES
  iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner runner -j REJECT 2>/dev/null && return
  tell 'neither nft nor iptables can close the metadata service to the job'
}

# A job that needs a GPU must not be taken by a machine whose GPU does not work.
check_gpu() {
  if [ -z "$gpu" ] || [ "$machine" = local ]; then return; fi
  stage gpu
  if ! command -v nvidia-smi >/dev/null; then
    tell 'the image has no NVIDIA driver (nvidia-smi): use an image that has it, such as ubuntu-22.04-gpu'
    end gpu_driver_missing 1
  fi
  found=$(timeout 120 nvidia-smi --list-gpus 2>&1)
  code=$?
  case $code:$found in
    0:*GPU*) tell "$(echo "$found" | head -n 1 | sed 's/ (UUID.*//')" ;;
    *)
      tell "nvidia-smi finds no GPU that works: $(echo "$found" | head -n 3)"
      end gpu "$code"
      ;;
  esac
  if command -v docker >/dev/null && ! command -v nvidia-ctk >/dev/null; then
    tell 'Docker is here without the NVIDIA container toolkit: containers of jobs will see no GPU'
  fi
  # What the job made of it, for cost reports.
  : >"$shared/gpu.csv"
  chmod 0644 "$shared/gpu.csv"
  nvidia-smi --query-gpu=timestamp,index,name,utilization.gpu,memory.used,memory.total --format=csv,nounits --loop=10 \
    >"$shared/gpu.csv" 2>/dev/null </dev/null &
}

# Seconds until the boot must be over, with some left to say why it was not.
left_to_boot() {
  left=$((booted + boot_timeout - $(uptime_seconds) - 5))
  [ "$left" -ge 1 ] || left=1
  echo "$left"
}

install_packages() {
  if [ -z "$packages" ] || [ "$machine" = local ]; then return; fi
  stage packages "$packages"
  # shellcheck disable=SC2086 # several packages
  if command -v apt-get >/dev/null; then
    # cloud-init writes the list of mirrors about now.
    timeout "$(left_to_boot)" cloud-init status --wait >/dev/null 2>&1
    export DEBIAN_FRONTEND=noninteractive
    timeout "$(left_to_boot)" apt-get -qq -o DPkg::Lock::Timeout=600 update </dev/null &&
      timeout "$(left_to_boot)" apt-get -qq -y -o DPkg::Lock::Timeout=600 install --no-install-recommends $packages </dev/null
  elif command -v dnf >/dev/null; then
    timeout "$(left_to_boot)" dnf --quiet --assumeyes install $packages </dev/null
  else
    tell 'neither apt-get nor dnf is here'
    false
  fi || end packages "$?"
}

# The instance's own disks, striped where there are several: fast, and gone with the machine.
prepare_scratch() {
  if [ "$scratch" != auto ] || [ "$machine" = local ]; then return; fi
  set --
  for disk in /dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*; do
    case $disk in *-part* | *_[0-9] | *-ns-* | *'*') ;; *) set -- "$@" "$disk" ;; esac
  done
  if [ "$#" -eq 0 ]; then
    tell 'scratch: this machine has no disk of its own; the root disk serves'
    return
  fi
  disk=$1
  if [ "$#" -gt 1 ] && command -v mdadm >/dev/null; then
    mdadm --create /dev/md/scratch --level=0 --raid-devices="$#" --run "$@" >/dev/null 2>&1 && disk=/dev/md/scratch
  fi
  # Discarding a fresh disk first would take seconds for nothing.
  if mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=1 "$disk" && mkdir -p /mnt/scratch && mount -o noatime "$disk" /mnt/scratch; then
    install -d -o runner -g runner /mnt/scratch/work
    tell "scratch: $# disk(s) on /mnt/scratch"
  else
    tell 'scratch: the disk cannot be used; the root disk serves'
  fi
}

# The volume that was attached as /dev/sdf: so it is called on Xen, and never on Nitro, where it is the EBS disk without a use.
# https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html
mount_cache() {
  if [ -z "$cache" ] || [ "$machine" = local ]; then return; fi
  for disk in /dev/sdf /dev/xvdf /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol*; do
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
    printf '%s' "$ca_certificates" | base64 -d >"${place%:*}/cml-runner.crt" && chmod 0644 "${place%:*}/cml-runner.crt"
    "${place#*:}" >/dev/null 2>&1 && return
  done
  tell 'the extra certificates cannot be trusted: neither update-ca-certificates nor update-ca-trust does it'
  end ca_certificates 1
}

run_startup_script() {
  if [ -z "$startup_script" ]; then return; fi
  stage startup_script
  printf '%s' "$startup_script" | base64 -d >"$state/startup" || end startup_script "$?"
  # shellcheck disable=SC2046 # the words of one command
  (umask 022 && exec timeout --kill-after=10 "$(left_to_boot)" $(interpreter "$state/startup") "$state/startup" </dev/null)
  code=$?
  rm -f "$state/startup"
  case $code in
    0) ;;
    124 | 137) end startup_script_timeout "$code" ;;
    *) end startup_script "$code" ;;
  esac
}
