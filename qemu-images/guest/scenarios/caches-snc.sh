#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sub-NUMA clustering with caches that follow: what a program occupies and moves is counted in the node of its CPU, and the file of the L3 has the sum.
# needs: nodes>=2 l3.cat llc_occupancy mbm_total_bytes
# machines: intel-snc
# guest: own
# timeout: 120

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"
mkdir $M/walker
of_l3=$M/walker/mon_data/mon_L3_00
for node in 0 1; do
	cpu=$(cut -d- -f1 /sys/devices/system/node/node$node/cpulist)
	other=$of_l3/mon_sub_L3_0$((1 - node))
	own=$of_l3/mon_sub_L3_0$node
	# With empty caches.
	check "caches are emptied" eval "rdt-traffic caches still && rdt-traffic caches follow"
	before_other=$(cat $other/mbm_total_bytes)
	as_member walker taskset $((1 << cpu)) cache-load walk $((L3_SIZE * 3)) 2 read $own/mbm_total_bytes >/tmp/walk
	read -r moved counted _ </tmp/walk
	occupied=$(cat $own/llc_occupancy)
	note "node $node: moved $moved, counted $counted; its lines hold $occupied, those of the other node $(cat $other/llc_occupancy)"
	between "abi-416 node $node counts what its CPU moves" $((moved * 99 / 100)) $((moved * 101 / 100)) "$counted"
	between "abi-416 node $node has what it occupies" $((L3_SIZE / 4)) "$L3_SIZE" "$occupied"
	between "abi-416 the other has nothing of either" 0 $((L3_SIZE / 100)) $(($(cat $other/llc_occupancy) + $(cat $other/mbm_total_bytes) - before_other))
	# A little of it may have gone by then.
	sum=$((occupied + $(cat $other/llc_occupancy)))
	between "abi-416 the file of the L3 has the sum" $((sum * 94 / 100)) $((sum * 101 / 100)) "$(cat $of_l3/llc_occupancy)"
done
rdt-traffic caches still
rmdir $M/walker
umount_resctrl
finish
