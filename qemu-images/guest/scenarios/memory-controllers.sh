#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Counters of memory controllers, by the kernel's own driver: they count what a program moves, and so does resctrl.
# needs: memory_controllers mbm_total_bytes
# machines: intel-imc
# guest: own

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

check "the kernel has found a channel" test -d /sys/bus/event_source/devices/uncore_imc_0
is "and all others" 6 "$(ls /sys/bus/event_source/devices | grep -c '^uncore_imc_[0-9]')"
check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"
mkdir $M/walker

# counted SIZE ROUNDS ACCESS: sets what was counted of a walk of a task of the group, on CPU 0.
counted() {
	as_member walker taskset 1 cache-load memory "$@" $M/walker/mon_data/mon_L3_00/mbm_total_bytes >/tmp/counted
	read -r read written resctrl </tmp/counted
}

# Four rounds over twice the cache: read for each access, and what is written is read first, and written back when it leaves.
size=$((L3_SIZE * 2))
moved=$((size * 4))
for access in read write; do
	counted $size 4 $access
	note "$access: $moved bytes; memory controllers counted $read read, $written written; resctrl $resctrl"
	between "abi-411 memory controllers count what is read: $access" $((moved * 99 / 100)) $((moved * 102 / 100)) "$read"
	if [ $access = read ]; then
		between "abi-411 and nothing written" 0 $((moved / 50)) "$written"
	else
		between "abi-411 and what is written" $((moved * 99 / 100)) $((moved * 102 / 100)) "$written"
	fi
	between "abi-412 resctrl counts the same: $access" $(((read + written) * 98 / 100)) $(((read + written) * 102 / 100)) "$resctrl"
done

# What fits is moved once at most.
counted $((L3_SIZE / 4)) 20 read
between "abi-411 nobody moves what fits" 0 $((L3_SIZE / 10)) "$read"
finish
