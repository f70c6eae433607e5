#!/bin/bash
# shellcheck disable=SC2317 # the functions below are reached by traps and declare -f
#
# container.sh IMAGE_DIR SEED_DIR OUT_DIR SECONDS [systemd-nspawn arguments...]
#
# Boots the image (see image.sh) in a system container: its own systemd, the
# real cloud-init with SEED_DIR (meta-data, user-data) as its NoCloud seed.
#
#   OUT_DIR                 is /var/marks inside, writable
#   OUT_DIR/console.log     what systemd and others wrote to /dev/console
#   OUT_DIR/started, ended  when the container was, in ms since 1970
#
# The image is not changed: what the guest writes goes to a tmpfs that is gone
# afterwards, or to CML_BOOT_STATE (a directory), to boot the same disk again.
# CML_BOOT_DISK is the size of that tmpfs (1g).
#
# Exit status: 0 the guest powered itself off; 133 it rebooted; 124 it was
# still there after SECONDS and was killed; 143 etc.: we were told to stop.
# Nothing is left behind (mounts, processes, control groups), whatever ends us.
#
# The guest shares the caller's network and may change it, so the caller is to
# be in a network namespace of its own (unshare -n).
#
# Needs root and the packages systemd-container and util-linux.
set -eu

[ $# -ge 4 ] || { echo "usage: container.sh IMAGE_DIR SEED_DIR OUT_DIR SECONDS [nspawn arguments...]" >&2; exit 2; }
image=$(realpath "$1") seed=$(realpath "$2")
mkdir -p "$3"
out=$(realpath "$3") limit=$4
shift 4
[ "$(id -u)" -eq 0 ] || { echo "container.sh: must be root" >&2; exit 2; }
for tool in systemd-nspawn setpriv unshare setsid; do
    command -v "$tool" >/dev/null || { echo "container.sh: $tool is missing" >&2; exit 2; }
done
[ -e "$image/.made-by" ] || { echo "container.sh: no image in $image" >&2; exit 2; }
# Only what a namespace made for the purpose has: the loopback, dummies, veths,
# and the tunnel devices that some kernels put into every new namespace.
devices=$(sed -n 's/^ *\([^ :]*\):.*/\1/p' /proc/self/net/dev)
for device in ${devices:-none}; do
    case $device in
        lo | dummy* | veth* | sit0 | tunl0 | ip6tnl0 | gre0 | gretap0 | erspan0 | ip6gre0 | ip_vti0 | ip6_vti0) ;;
        *)
            echo "container.sh: there is $device here: run me in a network namespace of your own (unshare -n)" >&2
            exit 2
            ;;
    esac
done

# A control group of its own for each container, where systemd has its own:
# otherwise two guests' systemds would manage the same one.
groups=()
while IFS=: read -r _ controllers path; do
    case $controllers in
        '') mounts='/sys/fs/cgroup/unified /sys/fs/cgroup' ;;
        name=systemd) mounts=/sys/fs/cgroup/systemd ;;
        *) continue ;;
    esac
    for mount in $mounts; do
        if [ -e "$mount${path%/}/cgroup.procs" ]; then
            groups+=("$mount${path%/}/cml-boot.$$")
            break
        fi
    done
done </proc/self/cgroup
[ "${#groups[@]}" -gt 0 ] || { echo "container.sh: no control groups in /sys/fs/cgroup" >&2; exit 2; }

# Kills what is in these groups and removes them; tries for 5 seconds.
clean() {
    local group pid round
    for group; do
        for ((round = 0; round < 100; round++)); do
            find "$group" -name cgroup.procs -exec cat {} + | while read -r pid; do
                kill -KILL "$pid"
            done
            find "$group" -depth -type d -exec rmdir {} \;
            [ -d "$group" ] || break
            sleep 0.05
        done
    done 2>/dev/null
}

mkdir "${groups[@]}"
# The cleaner waits for the end of this process, however that comes: then its
# standard input ends. It is in a session of its own, so that what is sent to
# our process group does not reach it.
exec 8> >(exec setsid bash -c "$(declare -f clean)"'; trap "" HUP INT TERM; cat >/dev/null; clean "$@"' cleaner "${groups[@]}")
cleaner=$!
child='' timer=''
stop() {
    for process in $child $timer; do
        kill -KILL "$process" 2>/dev/null || :
    done
    exec 8>&-
    wait "$cleaner" || :
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the child: join the groups, mount in a mount namespace of its own (gone
# with it), become systemd-nspawn. It is killed when this process dies.
# shellcheck disable=SC2016
boot='
    image=$1 seed=$2 out=$3 groups=$4
    shift 4
    for group in $groups; do echo $$ >"$group/cgroup.procs" || exit 2; done
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn || exit 2
    if [ -n "${CML_BOOT_STATE:-}" ]; then
        state=$(realpath "$CML_BOOT_STATE")
    else
        state=$image/mnt
        mount -t tmpfs -o "mode=755,size=${CML_BOOT_DISK:-1g}" tmpfs "$state" || exit 2
    fi
    mkdir -p "$state/upper" "$state/work" /run/systemd/nspawn/root
    mount -t overlay -o "lowerdir=$image/root,upperdir=$state/upper,workdir=$state/work" \
        overlay /run/systemd/nspawn/root || exit 2
    : >/run/systemd/nspawn/root/etc/fstab
    date +%s%3N >"$out/started"
    exec systemd-nspawn --quiet --directory=/run/systemd/nspawn/root --machine="cml-boot-$PPID" \
        --register=no --keep-unit --console=read-only --capability=CAP_NET_ADMIN \
        --link-journal=no --resolv-conf=off --timezone=off \
        --bind="$out:/var/marks" --bind-ro="$seed:/var/lib/cloud/seed/nocloud" \
        "$@" --boot'
setpriv --pdeathsig KILL unshare --mount --propagation private \
    sh -c "$boot" container.sh "$image" "$seed" "$out" "${groups[*]}" "$@" \
    </dev/null >"$out/console.log" 2>&1 8>&- &
child=$!

setpriv --pdeathsig KILL sleep "$limit" </dev/null >/dev/null 2>&1 8>&- &
timer=$!

code=0
wait -n -p ended "$child" "$timer" || code=$?
date +%s%3N >"$out/ended"
if [ "$ended" = "$child" ]; then
    child=''
else
    timer='' code=124
fi
exit "$code"
