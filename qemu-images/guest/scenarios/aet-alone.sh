#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Packages are monitored where caches are not: a machine that can monitor from the first mount on.
# needs: telemetry !telemetry.few !telemetry.wrong l3.cat !mb sockets=2
# kernels: debug plain
# append: rdt=!cmt,!mbmtotal,!mbmlocal
# parameters: rdt=!cmt,!mbmtotal,!mbmlocal
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "at boot nothing is monitored" "L3 allocation detected" "$(sed -n 's/.*resctrl: //p' /run/dmesg | grep detected)"
is "it mounts" ok "$(mount_resctrl debug)"
is "packages alone are monitored" "L3 PERF_PKG_MON last_cmd_status" "$(ls $M/info | xargs)"
is "abi-199 the default group has everything" "cpus cpus_list ctrl_hw_id info mode mon_data mon_groups mon_hw_id schemata size tasks" \
	"$(ls $M | xargs)"
is "mon_data has packages" "mon_PERF_PKG_00 mon_PERF_PKG_01" "$(ls $M/mon_data | xargs)"
is "abi-200 ids are those of packages" "$TELEMETRY_RMIDS" "$(cat $M/info/PERF_PKG_MON/num_rmids)"
mkdir $M/p0 $M/mon_groups/m0
is "the first ids" "0 1 2" "$(cat $M/mon_hw_id $M/p0/mon_hw_id $M/mon_groups/m0/mon_hw_id | xargs)"
resctrl-sys spin 1 60 &
spinner=$!
echo $spinner >$M/mon_groups/m0/tasks
sleep 0.2
is "a task is counted by its group's id" "2 0" "$(rdt-traffic assoc 1)"
kill $spinner
rdt-traffic telemetry 0 2 unhalted_core_cycles 9
is "and shown there" "9 9 Unavailable" \
	"$(cat $M/mon_data/mon_PERF_PKG_00/unhalted_core_cycles $M/mon_groups/m0/mon_data/mon_PERF_PKG_00/unhalted_core_cycles \
		$M/p0/mon_data/mon_PERF_PKG_00/unhalted_core_cycles | xargs)"
rmdir $M/mon_groups/m0
mkdir $M/mon_groups/m1
is "an id that is freed waits for no cache, and for its turn" 3 "$(cat $M/mon_groups/m1/mon_hw_id)"
umount_resctrl
is "it mounts again" ok "$(mount_resctrl)"
is "with all of it" "mon_PERF_PKG_00 mon_PERF_PKG_01" "$(ls $M/mon_data | xargs)"
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
umount_resctrl
finish
