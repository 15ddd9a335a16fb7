#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Limbo with caches that follow: the id of a group that has gone is not given out while its lines are in the cache, and is when others have taken their place.
# needs: x86 l3.cat llc_occupancy nodes=1
# machines: intel amd
# run: asked
# guest: own
# timeout: 120

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"

# groups: how many monitoring groups can be made, all of which go again.
groups() {
	groups_made=0
	while mkdir $M/mon_groups/g$groups_made 2>/dev/null; do groups_made=$((groups_made + 1)); done
	rmdir $M/mon_groups/g*
	echo $groups_made
}
# Ids of groups without a line are free within a second and a tick.
rest() { sleep 3; }

all=$(groups)
rest
mkdir $M/mon_groups/walker
as_member mon_groups/walker taskset 1 cache-load walk "$L3_SIZE" 2 read >/dev/null
occupancy=$(cat $M/mon_groups/walker/mon_data/mon_L3_00/llc_occupancy)
note "$occupancy of $L3_SIZE bytes are the walker's; more than $(cat $M/info/L3_MON/max_threshold_occupancy) keep its id busy"
between "the cache is full of its lines" $((L3_SIZE * 90 / 100)) "$L3_SIZE" "$occupancy"
rmdir $M/mon_groups/walker
for turn in 1 2; do
	is "abi-414 its id is not given out, turn $turn" $((all - 1)) "$(groups)"
	rest
done
# Twice the cache: all lines are the default group's.
taskset 1 cache-load walk $((L3_SIZE * 2)) 1 read >/dev/null
rest
is "abi-414 it is, once others have taken the place of its lines" "$all" "$(groups)"
rdt-traffic caches still
umount_resctrl
finish
