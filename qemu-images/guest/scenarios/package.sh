#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The Debian package: dpkg installs, upgrades and removes it, and DKMS builds the module for the kernel that runs.
# machines: intel mpam
# kernels: stock rt plain
# impl: rust
# run: asked
# programs: package
# packages: base-passwd bash coreutils diffutils dkms dpkg findutils grep gzip hostname kmod libc-bin linux-headers-{release} linux-modules-{release} mawk openssl sed tar util-linux
# timeout: 1500

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/root.sh

export DEBIAN_FRONTEND=noninteractive
release=$(uname -r)
built=/system/lib/modules/$release/updates/dkms

# package COMMAND...: runs dpkg, and says what it said if it fails.
package() {
	inside dpkg "$@" </dev/null >/tmp/dpkg 2>&1 && return
	tail -n 40 /tmp/dpkg /system/var/lib/dkms/resctrl-rust/*/build/make.log >&2 2>/dev/null
	return 1
}

# versions: those that DKMS has, and how far.
versions() {
	inside dkms status -m resctrl-rust | sed 's/,.*:/:/'
}

# of FIELD: what the module's file says.
of() {
	inside modinfo -F "$1" resctrl 2>/dev/null
}

# unit FIELD: what the unit for systemd says.
unit() {
	sed -n "s/^$1=//p" /system/usr/share/doc/resctrl-rust-dkms/examples/sys-fs-resctrl.mount
}

# The rig's own has made room.
rmmod resctrl
check "Debian's packages can be configured" package --configure -a
old=$(inside dpkg-deb -f /rig/package/old.deb Version)
new=$(inside dpkg-deb -f /rig/package/new.deb Version)

check "abi-437 dpkg installs the package" package -i /rig/package/old.deb
is "abi-437 DKMS has built and installed it" "resctrl-rust/$old: installed" "$(versions)"
check "abi-437 the module is where modprobe finds it" test -n "$(find "$built" -name 'resctrl.ko*' 2>/dev/null)"
like "abi-437 it is built for the kernel that runs" "$release *" "$(of vermagic)"
is "abi-438 it is signed by the key that DKMS has made" "DKMS module signing key" "$(of signer)"
check "abi-438 the key's other half is there for the firmware" test -s /system/var/lib/dkms/mok.pub
is "abi-439 its version is the package's" "${old%-*}" "$(of version)"
inside zcat /usr/share/man/man4/resctrl-rust.4.gz >/tmp/manual
for parameter in $(of parm | sed 's/:.*//'); do
	check "abi-439 its manual has the parameter $parameter" grep -q "^\.BI $parameter=" /tmp/manual
done

tainted=$(cat /proc/sys/kernel/tainted)
check "abi-440 modprobe loads it" inside modprobe resctrl
is "abi-440 the kernel is tainted by a module from outside" 4096 $(($(cat /proc/sys/kernel/tainted) & 4096))
note "tainted: $tainted before, $(cat /proc/sys/kernel/tainted) now"
is "abi-440 what runs is of that version" "${old%-*}" "$(cat /sys/module/resctrl/version)"
check "abi-441 it is mounted as the unit says" mount -t "$(unit Type)" "$(unit What)" "$(unit Where)"
check "abi-441 a group is made" mkdir "$M/half"
accepted "abi-441 it gets a share" "$M/half/schemata" "L3:0=3"
is "abi-441 it has it" 3 "$(value L3 0 half)"
umount_resctrl

# A kernel before the first that the module is for, as far as DKMS can see.
inside dkms build -m resctrl-rust -v "$old" -k 6.12.1 --kernelsourcedir "/usr/src/linux-headers-$release" >/tmp/dkms 2>&1
is "abi-442 DKMS leaves a kernel out that is too old" 77 $?
check "abi-442 it says so" grep -q BUILD_EXCLUSIVE /tmp/dkms

check "abi-443 dpkg installs the next version while the module is loaded" package -i /rig/package/new.deb
is "abi-443 DKMS has the new one alone" "resctrl-rust/$new: installed" "$(versions)"
check "abi-443 the old one's sources are gone" test ! -e "/system/usr/src/resctrl-rust-$old"
rmmod resctrl
check "abi-443 modprobe loads the new one" inside modprobe resctrl
is "abi-443 it mounts" ok "$(mount_resctrl)"
umount_resctrl

check "abi-444 dpkg removes the package" package -r resctrl-rust-dkms
check "abi-444 the module that is loaded goes on" test -d /sys/module/resctrl
is "abi-444 it mounts" ok "$(mount_resctrl)"
umount_resctrl
rmmod resctrl
is "abi-444 DKMS knows nothing of it" "" "$(versions)"
is "abi-444 nothing of it is left" "" "$(find /system/usr/src/resctrl* "$built" /system/var/lib/dkms/resctrl* 2>/dev/null)"
check "abi-444 modprobe finds no module" test "$(inside modprobe resctrl 2>&1 | grep -c 'not found')" = 1
finish
