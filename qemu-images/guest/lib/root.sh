# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The root file system with the Debian packages that a scenario asks for (`packages`): it is /system, and has /proc, /sys, /dev,
# /tmp and /in in common with the guest.

# inside COMMAND...: runs a program of the packages.
inside() {
	(
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/rig/bin:/rig/applets
		exec /bin/busybox chroot /system "$@"
	)
}

# has PROGRAM: whether the packages have it.
has() {
	for has_folder in usr/sbin usr/bin sbin bin; do
		[ ! -e "/system/$has_folder/$1" ] || return 0
	done
	return 1
}
