#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What counts for fewer RMIDs than it is known for is not used.
# needs: telemetry.few !telemetry.wrong l3.cat !mb llc_occupancy sockets=2
# kernels: debug plain
# guest: own
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
said=$(dmesg | sed -n 's/.*resctrl: \(PERF_PKG\)/\1/p' | xargs)
is "the log says why" \
	"PERF_PKG energy:0x26696143 monitoring not enabled due to insufficient RMIDs PERF_PKG perf:0x26557651 monitoring not enabled due to insufficient RMIDs" \
	"$said"
is "there is no telemetry" "L3 L3_MON last_cmd_status" "$(ls $M/info | xargs)"
is "nor in the groups" "mon_L3_00 mon_L3_01" "$(ls $M/mon_data | xargs)"
umount_resctrl
is "nothing is looked for again" "ok $said" "$(mount_resctrl) $(dmesg | sed -n 's/.*resctrl: \(PERF_PKG\)/\1/p' | xargs)"
umount_resctrl
finish
