#!/bin/sh
# image.sh DIR: make the image that the boot tests boot, once.
#
#   DIR/root      a Debian tree with systemd and cloud-init (container.sh)
#   DIR/base.img  the same tree as one ext4 file system (vm.sh)
#   DIR/vmlinuz   its kernel
#   DIR/initrd    busybox and the modules that find the disk (see below)
#   DIR/mnt       an empty mount point for container.sh
#
# A finished image is left as it is, unless this file has changed since. The
# tree is built in DIR.tmp and renamed; of two callers at once one waits.
# Packages come from this machine's own apt sources, for its own release.
#
# Needs root and the packages mmdebstrap, e2fsprogs and util-linux.
set -eu

[ $# -eq 1 ] || { echo "usage: image.sh DIR" >&2; exit 2; }
dir=${1%/}
tmp=$dir.tmp
[ "$(id -u)" -eq 0 ] || { echo "image.sh: must be root" >&2; exit 2; }
for tool in mmdebstrap mke2fs flock chroot; do
    command -v "$tool" >/dev/null || { echo "image.sh: $tool is missing" >&2; exit 2; }
done

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../debian.sh
. "$here/../debian.sh"
made_by=$(cat "$0" "$here/../debian.sh" | sha256sum | cut -d' ' -f1)
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
if [ "$(cat "$dir/.made-by" 2>/dev/null || :)" = "$made_by" ]; then
    echo "image.sh: $dir is there already"
    exit 0
fi

start=$(date +%s)
rm -rf --one-file-system "$tmp"
mkdir "$tmp" "$tmp/mnt"
trap 'rm -rf --one-file-system "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

packages=systemd,systemd-sysv,systemd-resolved,dbus,udev,kmod
packages=$packages,cloud-init,netplan.io,isc-dhcp-client,iproute2,nftables,iptables
packages=$packages,procps,util-linux,e2fsprogs,sudo,curl,ca-certificates,git
packages=$packages,busybox-static,cpio,linux-image-cloud-$(dpkg --print-architecture)

root=$tmp/root
# INITRD=No: the kernel package then makes no initrd of its own (10 s saved).
INITRD=No debian_tree "$root" "$dir.log" "$packages" 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
    'path-exclude=/usr/share/info/*' 'path-exclude=/usr/share/locale/*'

rm -f "$root/etc/hostname"
: >"$root/etc/machine-id"
echo 'LABEL=rootfs / ext4 defaults 0 1' >"$root/etc/fstab"
# A second virtio disk is what EC2 calls an instance store, a third one is an EBS volume.
{
    echo 'KERNEL=="vdb", SYMLINK+="disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS0123456789"'
    echo 'KERNEL=="vdc", SYMLINK+="disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"'
} \
    >"$root/etc/udev/rules.d/99-instance-store.rules"
# No locale data in the image: without this cloud-init reports an error.
echo 'locale: C.UTF-8' >"$root/etc/cloud/cloud.cfg.d/99-boot-test.cfg"
# They would only take processor time from the boots that are measured.
chroot "$root" systemctl --quiet mask e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer
mkdir -p "$root/var/marks" "$root/var/lib/cloud/seed/nocloud"

# The initrd. The stock one takes 10 s to make and, under emulation, 5 s more
# of every boot; this one loads what the root disk needs and goes on.
kernel=$(basename "$root"/lib/modules/*)
cp "$root/boot/vmlinuz-$kernel" "$tmp/vmlinuz"
initrd=$root/tmp/initrd
mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/proc" "$initrd/sys" "$initrd/new" "$initrd/modules"
cp "$root/bin/busybox" "$initrd/bin/busybox"
for module in virtio_pci virtio_blk crc32c_generic ext4; do
    chroot "$root" modprobe -S "$kernel" --show-depends "$module" || :
done 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$tmp/modules"
while read -r module; do
    cp "$root$module" "$initrd/modules/"
    echo "/bin/busybox insmod /modules/${module##*/}"
done <"$tmp/modules" >"$tmp/insmod"
{
    cat <<'END'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
END
    cat "$tmp/insmod"
    cat <<'END'
n=0
until /bin/busybox mount -t ext4 /dev/vda /new; do
    n=$((n + 1))
    [ $n -lt 100 ] || { echo 'initrd: no /dev/vda' >/dev/console; /bin/busybox poweroff -f; }
    /bin/busybox usleep 100000
done
/bin/busybox mount -o move /dev /new/dev
/bin/busybox umount /sys /proc
exec /bin/busybox switch_root /new /sbin/init
END
} >"$initrd/init"
chmod 755 "$initrd/init"
chroot "$root" sh -c 'cd /tmp/initrd && find . | cpio --quiet -o -H newc' | gzip -1 >"$tmp/initrd"
rm -rf --one-file-system "$initrd" "$tmp/modules" "$tmp/insmod"

mke2fs -q -F -t ext4 -L rootfs -d "$root" "$tmp/base.img" 3G >/dev/null

echo "$made_by" >"$tmp/.made-by"
rm -rf --one-file-system "$dir"
mv "$tmp" "$dir"
trap - EXIT
echo "image.sh: $dir made in $(($(date +%s) - start)) s: $suite, kernel $kernel, $(du -sm "$dir/root" | cut -f1) MB"
