#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What counts for few RMIDs is used when it is asked for, and groups are then as few.
# machines: intel-aet-few
# kernels: debug plain
# append: rdt=energy,perf:26557651
# parameters: rdt=energy,perf:26557651
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "the log tells of each group of events" \
	"PERF_PKG energy:0x26696143 monitoring detected PERF_PKG perf:0x26557651 monitoring detected" \
	"$(dmesg | sed -n 's/.*resctrl: \(PERF_PKG\)/\1/p' | xargs)"
is "abi-200 ids are as few as the group of events with the fewest has" "$RMIDS 20" \
	"$(cat $M/info/L3_MON/num_rmids) $(cat $M/info/PERF_PKG_MON/num_rmids)"
made=1
while [ "$(Ws mkdir $M/mon_groups/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-200 and so are groups" "20 Out of RMIDs" "$made $(lcs)"
rdt-traffic telemetry 0 19 core_energy 262144
is "the last of them is counted" 1.000000 "$(cat $M/mon_groups/g19/mon_data/mon_PERF_PKG_00/core_energy)"
umount_resctrl
finish
