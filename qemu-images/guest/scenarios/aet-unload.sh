#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# resctrl.ko and its companion for telemetry, resctrl_aet.ko: who keeps whom loaded, and each without the other.
# needs: telemetry !telemetry.few !telemetry.wrong
# kernels: debug plain
# impl: rust
# guest: own

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

# users MODULE: how many references there are to it; empty if it is not loaded.
users() {
	sed -n "s/^$1 [0-9]* \([0-9]*\) .*/\1/p" /proc/modules
}
telemetry() {
	ls $M/info | grep -c PERF_PKG_MON
}

is "nobody uses the companion before the first mount" 0 "$(users resctrl_aet)"
is "it mounts" "ok 1" "$(mount_resctrl) $(telemetry)"
is "energy and performance have a reference each" 2 "$(users resctrl_aet)"
is "it cannot be unloaded then" refused "$(rmmod resctrl_aet 2>/dev/null && echo unloaded || echo refused)"
umount_resctrl
is "nor without a mount" refused "$(rmmod resctrl_aet 2>/dev/null && echo unloaded || echo refused)"
check "resctrl.ko can be unloaded, though" rmmod resctrl
is "and nobody uses the companion any more" 0 "$(users resctrl_aet)"

check "resctrl.ko comes back" insmod /rig/resctrl.ko
is "and finds everything again" "ok 1" "$(mount_resctrl) $(telemetry)"
umount_resctrl
rmmod resctrl
check "the companion can be unloaded" rmmod resctrl_aet
check "resctrl.ko needs none" insmod /rig/resctrl.ko
is "and has no telemetry then" "ok 0" "$(mount_resctrl) $(telemetry)"
umount_resctrl
check "it may come later" insmod /rig/resctrl_aet.ko
is "but is not looked for again" "ok 0" "$(mount_resctrl) $(telemetry)"
umount_resctrl
rmmod resctrl
insmod /rig/resctrl.ko
is "until resctrl.ko is loaded again" "ok 1" "$(mount_resctrl) $(telemetry)"
umount_resctrl
finish
