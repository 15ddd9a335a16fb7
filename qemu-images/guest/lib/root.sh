# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The root file system with the Debian packages that a scenario asks for (`packages`): it is /system, and has /proc, /sys, /dev,
# /tmp and /in in common with the guest.

# inside COMMAND...: runs a program of the packages, or of busybox where they have none of that name. busybox's chroot, told a name
# alone, would take its own.
inside() {
	inside_program=$1
	for inside_folder in usr/sbin usr/bin sbin bin; do
		[ ! -x "/system/$inside_folder/$1" ] || inside_program=/$inside_folder/$1
	done
	shift
	(
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/rig/bin:/rig/applets
		exec /bin/busybox chroot /system "$inside_program" "$@"
	)
}

# has PROGRAM: whether the packages have it.
has() {
	for has_folder in usr/sbin usr/bin sbin bin; do
		[ ! -e "/system/$has_folder/$1" ] || return 0
	done
	return 1
}
