#!/bin/bash
# shellcheck disable=SC2317 # the functions below are reached by traps
#
# vm.sh IMAGE_DIR OUT_DIR SECONDS [qemu arguments...]
#
# Boots the image (see image.sh) in a virtual machine with its own kernel, which
# cloud-init takes for one of EC2's: the datasource is found as there, and asks
# 169.254.169.254:80 with IMDSv2 tokens.
#
#   OUT_DIR/console.log     the serial console (ttyS0, /dev/console)
#   OUT_DIR/marks.log       lines the guest wrote to /dev/ttyS1, each after the
#                           time it came, in ms since 1970 by this machine's clock
#   OUT_DIR/qemu.log        QEMU's events, and its complaints
#   OUT_DIR/started, ended  when the machine was, in ms since 1970
#
# The guest's address is 10.0.2.15 by DHCP, its hardware address
# 52:54:00:12:34:56. It reaches the caller's network: 169.254.169.254 if that is
# an address here, and the caller's 127.0.0.1 as 10.0.2.2. The caller is to be
# in a network namespace of its own (unshare -n), so that it reaches no other.
#
# The image is not changed: what the guest writes is gone afterwards, or is in
# CML_BOOT_STATE (a directory, a copy of the disk), to boot the same disk again.
# CML_BOOT_ACCEL is tcg (emulation) or kvm; that /dev/kvm can be opened does not
# mean that it works. CML_BOOT_MEMORY is in MB (1024).
#
# Exit status: 0 the guest powered itself off; 133 it rebooted or its kernel
# panicked; 124 it was still there after SECONDS and was killed; 143 etc.: we
# were told to stop; 1 QEMU failed.
#
# Needs the packages qemu-system-x86, seabios and util-linux; no root.
set -eu

[ $# -ge 3 ] || { echo "usage: vm.sh IMAGE_DIR OUT_DIR SECONDS [qemu arguments...]" >&2; exit 2; }
image=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2") limit=$3
shift 3
for tool in qemu-system-x86_64 setpriv; do
    command -v "$tool" >/dev/null || { echo "vm.sh: $tool is missing" >&2; exit 2; }
done
[ -e "$image/.made-by" ] || { echo "vm.sh: no image in $image" >&2; exit 2; }
# Only what a namespace made for the purpose has: the loopback, dummies, veths,
# and the tunnel devices that some kernels put into every new namespace.
devices=$(sed -n 's/^ *\([^ :]*\):.*/\1/p' /proc/self/net/dev)
for device in ${devices:-none}; do
    case $device in
        lo | dummy* | veth* | sit0 | tunl0 | ip6tnl0 | gre0 | gretap0 | erspan0 | ip6gre0 | ip_vti0 | ip6_vti0) ;;
        *)
            echo "vm.sh: there is $device here: run me in a network namespace of your own (unshare -n)" >&2
            exit 2
            ;;
    esac
done

case ${CML_BOOT_ACCEL:-tcg} in
    tcg) accel=(-accel "tcg,thread=multi" -cpu qemu64) ;;
    kvm) accel=(-accel kvm -cpu host) ;;
    *) echo "vm.sh: CML_BOOT_ACCEL is tcg or kvm" >&2; exit 2 ;;
esac
disk=$image/base.img snapshot=on
if [ -n "${CML_BOOT_STATE:-}" ]; then
    disk=$(realpath "$CML_BOOT_STATE")/disk.img snapshot=off
    [ -e "$disk" ] || cp --sparse=always "$image/base.img" "$disk"
fi
# Serial number and UUID are the same and begin with ec2: that is how
# cloud-init knows EC2 (Ec2Local, with tokens).
uuid=ec2e1916-9099-7caf-fd21-012345abcdef

qemu='' timer=''
stop() {
    for process in $qemu $timer; do
        kill -KILL "$process" 2>/dev/null || :
    done
    exec 7>&- 8>&-
    [ -z "${stamper:-}" ] || wait "$stamper" || :
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The second serial port: a line is stamped when it is complete.
stamp() {
    local line now
    trap '' HUP INT TERM
    while IFS= read -r line || [ -n "$line" ]; do
        now=${EPOCHREALTIME/[.,]/}
        printf '%s %s\n' "${now%???}" "${line%$'\r'}"
    done
}
exec 8> >(stamp >"$out/marks.log")
stamper=$!

# QEMU's own protocol on its standard input and output says why it ended. The
# input must stay open, so it comes from a pipe that we hold.
pipe=$(mktemp -u "$out/.qmp.XXXXXX")
mkfifo -m 600 "$pipe"
exec 7<>"$pipe"
rm -f "$pipe"
echo '{"execute":"qmp_capabilities"}' >&7

date +%s%3N >"$out/started"
setpriv --pdeathsig KILL qemu-system-x86_64 -machine q35 "${accel[@]}" -smp 2 -m "${CML_BOOT_MEMORY:-1024}" \
    -nodefaults -display none -no-reboot -qmp stdio \
    -serial "file:$out/console.log" -serial file:/dev/fd/8 \
    -kernel "$image/vmlinuz" -initrd "$image/initrd" \
    -append "root=LABEL=rootfs rw console=ttyS0 panic=-1 mitigations=off" \
    -drive "file=$disk,if=virtio,format=raw,snapshot=$snapshot" \
    -netdev user,id=n0,ipv6=off -device virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56 \
    -device virtio-rng-pci -smbios "type=1,serial=$uuid,uuid=$uuid" "$@" \
    <&7 >"$out/qemu.log" 2>&1 7>&- &
qemu=$!
exec 8>&-
setpriv --pdeathsig KILL sleep "$limit" </dev/null >/dev/null 2>&1 7>&- &
timer=$!

code=0
wait -n -p ended "$qemu" "$timer" || code=$?
date +%s%3N >"$out/ended"
if [ "$ended" = "$timer" ]; then
    timer='' code=124
else
    qemu=''
    if [ "$code" -ne 0 ]; then
        tail -n 3 "$out/qemu.log" >&2
        code=1
    elif grep -q '"guest-reset"\|"guest-panic"' "$out/qemu.log"; then
        code=133
    elif ! grep -q '"guest-shutdown"' "$out/qemu.log"; then
        code=1
    fi
fi
exit "$code"
