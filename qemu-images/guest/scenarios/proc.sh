#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# /proc/PID/cpu_resctrl_groups, which is the kernel's own and not a module's.
# needs: allocation monitoring
# machines: intel mpam
# impl: kernel

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

F=/proc/$$/cpu_resctrl_groups
groups() {
	xargs <$F
}
is "abi-20 not mounted" "res: mon:" "$(groups)"
mount_resctrl >/dev/null
is "abi-236 in the default group" "res:/ mon:" "$(groups)"
mkdir $M/p0 $M/p0/mon_groups/m0 $M/mon_groups/m1
accepted "to a monitoring group of root" $M/mon_groups/m1/tasks $$
is "abi-236 in a monitoring group of it" "res:/ mon:m1" "$(groups)"
accepted "to a control group" $M/p0/tasks $$
is "abi-88 in a control group, without a slash" "res:p0 mon:" "$(groups)"
accepted "to its monitoring group" $M/p0/mon_groups/m0/tasks $$
is "abi-236 in its monitoring group" "res:p0 mon:m0" "$(groups)"
is "abi-236 a thread has the same file" "res:p0 mon:m0" "$(xargs </proc/$$/task/$$/cpu_resctrl_groups)"
umount_resctrl
is "abi-20 unmounted with a task in a group" "res: mon:" "$(groups)"
finish
