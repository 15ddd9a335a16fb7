# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What a user brought along to this guest (xtask/src/guest/visit.rs is the other end), for `init`.
#
# RIG_ROOT is `folder`, if the root file system of the user's programs is in /system already, or the kind of file system
# of the image that has it; RIG_USER who runs the script; RIG_LIMIT the seconds it may take; RIG_NET and RIG_OUT are set
# where there is a network, and a disk to hand over what is in /out.

# disk NAME: the device of the disk that QEMU calls so.
disk() {
	for block in /sys/block/*; do
		[ "$(cat "$block/serial" 2>/dev/null)" = "$1" ] || continue
		echo "/dev/${block##*/}"
		return
	done
	return 1
}

# Puts everything in its place.
receive() {
	mkdir -p /in /out
	if [ -n "$RIG_ROOT" ]; then
		mount_root
		furnish /system
	fi
	root=${RIG_ROOT:+/system}
	accounts "$root"
	while read -r number place; do
		bring "/rig/files/$number" "$root$place"
	done </rig/places
	rm -rf /rig/files
	[ -z "$RIG_NET" ] || network
	if [ -n "$RIG_USER" ]; then
		chown -R "$RIG_USER:$RIG_USER" /in /out
	fi
}

# bring FROM TO: a folder is laid over what is there.
bring() {
	mkdir -p "${2%/*}"
	if [ -d "$1" ]; then
		mkdir -p "$2" && cp -a "$1/." "$2/"
	else
		cp -a "$1" "$2"
	fi 2>/tmp/bring || problem "cannot bring a file to $2: $(cat /tmp/bring)"
}

# The root file system becomes a mount of its own: what makes containers moves roots, and the kernel's first one cannot be.
mount_root() {
	mkdir -p /system
	if [ "$RIG_ROOT" = folder ]; then
		mount --bind /system /system
		return
	fi
	device=$(disk root) || problem "the disk with the root file system is not there"
	mount -t "$RIG_ROOT" "$device" /system 2>/tmp/mount || problem "mount -t $RIG_ROOT $device: $(cat /tmp/mount)"
	[ "$RIG_ROOT" = ext4 ] && return
	# It cannot be written: changes go into memory.
	mkdir -p /image /changes
	mount --move /system /image
	mount -t tmpfs tmpfs /changes
	mkdir /changes/upper /changes/work
	mount -t overlay -o lowerdir=/image,upperdir=/changes/upper,workdir=/changes/work overlay /system 2>/tmp/mount ||
		problem "mount -t overlay: $(cat /tmp/mount)"
}

# furnish ROOT: what every guest has, and what packages expect that were unpacked and never configured.
furnish() {
	cp /bin/busybox /rig/bin/busybox
	mkdir -p /rig/applets /dev/shm
	/rig/bin/busybox --install -s /rig/applets
	mount -t tmpfs tmpfs /dev/shm
	ln -s /proc/self/fd /dev/fd
	# Containers want one; not every kernel has it.
	mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
	# Scenarios stay outside and see what is mounted inside, and the other way round.
	[ "$mode" != scenarios ] || mount --make-rshared /sys
	for place in proc sys dev tmp run rig in out; do
		mkdir -p "$1/$place"
		mount --rbind "/$place" "$1/$place"
	done
	for folder in bin sbin lib lib64; do
		[ -e "$1/$folder" ] || [ ! -e "$1/usr/$folder" ] || ln -s "usr/$folder" "$1/$folder"
	done
	mkdir -p "$1/bin" "$1/usr/bin" "$1/root" "$1/etc"
	for link in bin/sh usr/bin/env; do
		[ -e "$1/$link" ] || [ -L "$1/$link" ] || ln -s /rig/bin/busybox "$1/$link"
	done
	[ -e "$1/etc/hosts" ] || echo '127.0.0.1 localhost' >"$1/etc/hosts"
	[ -e "$1/etc/ld.so.cache" ] || [ ! -x "$1/usr/sbin/ldconfig" ] || chroot "$1" /usr/sbin/ldconfig
}

# accounts ROOT: who there is.
accounts() {
	for file in passwd group; do
		[ -e "$1/etc/$file" ] || cp "$1/usr/share/base-passwd/$file.master" "$1/etc/$file" 2>/dev/null ||
			cp "/etc/$file" "$1/etc/$file"
	done
	[ -n "$RIG_USER" ] || return
	mkdir -p "$1/home/$RIG_USER"
	grep -q "^$RIG_USER:" "$1/etc/passwd" || echo "$RIG_USER:x:1000:1000::/home/$RIG_USER:/bin/sh" >>"$1/etc/passwd"
	grep -q "^$RIG_USER:" "$1/etc/group" || echo "$RIG_USER:x:1000:" >>"$1/etc/group"
	grep -q "^$RIG_USER:" /etc/passwd || grep "^$RIG_USER:" "$1/etc/passwd" >>/etc/passwd
	grep -q "^$RIG_USER:" /etc/group || grep "^$RIG_USER:" "$1/etc/group" >>/etc/group
	chown "$RIG_USER:$RIG_USER" "$1/home/$RIG_USER"
}

# The addresses are those of QEMU's user network.
network() {
	ifconfig lo 127.0.0.1 up
	ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up && route add default gw 10.0.2.2 || problem "there is no network"
	echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
}

# visit SETSID [OPTION]: the script or the shell, in a session of its own, where the user wants it.
visit() {
	if [ -z "$RIG_ROOT" ]; then
		exec "$@" sh /rig/lib/start.sh "$mode"
	fi
	# As switch_root does, so that the kernel does not take it for a process that was locked into a folder.
	cd /system && mount --move . / && exec "$@" chroot . /rig/bin/busybox sh /rig/lib/start.sh "$mode"
}

# watch_limit SESSION: ends it when its time is over.
watch_limit() {
	sleep "$RIG_LIMIT"
	[ -e "/proc/$1" ] || return
	: >/run/overdue
	echo "rig: the script was ended, for its $RIG_LIMIT s (--timeout) were over" >"/dev/$PORT_ERROR"
	end_session "$1" TERM
	sleep 2
	end_session "$1"
}

# What is in /out goes home.
hand_over() {
	[ -n "$RIG_OUT" ] || return
	device=$(disk out) || problem "the disk for --out is not there"
	tar -c -f "$device" -C /out . 2>/tmp/tar || problem "cannot hand over what is in /out: $(cat /tmp/tar)"
	sync
}
