#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A CPU that is to be left alone (nohz_full) neither reads counters nor runs a worker while its domain has another one.
# needs: x86 llc_occupancy mbm_total_bytes !abmc nodes=1 l3.domains=2 l3.cpus=2
# machines: intel
# lasts: 7
# append: nohz_full=2

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

T=/sys/kernel/tracing
is "abi-215 the CPU is to be left alone" 2 "$(cat /sys/devices/system/cpu/nohz_full)"
mount_resctrl >/dev/null
echo 1 >$T/events/msr/write_msr/enable
# selecting CPU...: which of these CPUs have selected a counter
selecting() {
	for cpu; do
		grep -q "\[00$cpu\].*write_msr: c8d," $T/trace && echo "$cpu"
	done | xargs
}
# Whoever asks is not on the CPU that is to be left alone: there he would disturb nobody by reading where he is.
taskset 1 cat $M/mon_data/mon_L3_01/llc_occupancy >/dev/null
is "abi-215 a read goes to the domain's other CPU" 3 "$(selecting 2 3)"
: >$T/trace
sleep 3
is "abi-215 and so does the overflow worker" 3 "$(selecting 2 3)"
is "the other domain has its own" 0 "$(selecting 0 1)"
offline 3
: >$T/trace
rdt-traffic occupancy 1 0 $MON_UNIT
is "abi-215 alone it is asked nevertheless" "$MON_UNIT" "$(cat $M/mon_data/mon_L3_01/llc_occupancy)"
sleep 3
is "abi-215 there is nobody else" 2 "$(selecting 2 3)"
online 3
rdt-traffic occupancy 1 0 0
echo 0 >$T/events/msr/write_msr/enable
umount_resctrl
finish
