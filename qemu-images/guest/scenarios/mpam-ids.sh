#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Monitoring ids that belong to a PARTID: how many a group can have, and what limbo means for the next owner.
# needs: mpam l3.cat llc_occupancy partids>=3 pmgs>=3 pmgs<=100 l3.first_id=0
# machines: mpam mpam-2l3 mpam-narrow mpam-few-monitors mpam-split
# lasts: 10

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

mount_resctrl debug >/dev/null
# Ids that the scenario before this one has just freed are in limbo for a moment.
sleep 2.5
is "abi-229 num_rmids counts pairs of PARTID and PMG" $((PARTIDS * PMGS)) "$(cat $M/info/L3_MON/num_rmids)"

# fill_up GROUP: makes monitoring groups until it is refused; sets `made` and `result`.
fill_up() {
	made=0
	while [ $made -lt 100 ]; do
		result=$(Ws mkdir "$1/mon_groups/g$made")
		[ "$result" = ok ] || break
		made=$((made + 1))
	done
}
for group in $M $M/p0; do
	[ -d $group ] || mkdir $group
	fill_up $group
	is "abi-230 a group has as many monitoring groups as PMGs but one" \
		"$((PMGS - 1)), ENOSPC, Out of RMIDs" "$made, $result, $(lcs)"
	is "abi-121 each with another PMG" "$(seq 0 $((PMGS - 1)) | xargs)" \
		"$(cat $group/mon_hw_id $group/mon_groups/*/mon_hw_id | sort -n | xargs)"
done

pmg=$(cat $M/p0/mon_groups/g1/mon_hw_id)
rdt-traffic occupancy 0 "1/$pmg" 1M
rmdir $M/p0/mon_groups/g1
is "abi-122 a freed id waits while its cache is full" "ENOSPC, Out of RMIDs" "$(Ws mkdir $M/p0/mon_groups/again), $(lcs)"
sleep 2.2
is "abi-122 as long as it is" ENOSPC "$(Ws mkdir $M/p0/mon_groups/again)"
rdt-traffic occupancy 0 "1/$pmg" 0
is "abi-122 but not when it is empty" ok "$(within 4 ok Ws mkdir $M/p0/mon_groups/again)"
is "abi-122 it is the same id" "$pmg" "$(cat $M/p0/mon_groups/again/mon_hw_id)"

# p0 is PARTID 1. When it goes with a full cache, another PARTID is the cleaner one.
rdt-traffic occupancy 0 1/0 1M
rmdir $M/p0
mkdir $M/p1
is "abi-231 a new group prefers a PARTID whose ids are clean" 2 "$(cat $M/p1/ctrl_hw_id)"
rdt-traffic occupancy 0 1/0 0
sleep 2.5
rmdir $M/p1
sleep 2.5
mkdir $M/p2
is "abi-203 the lowest of those that are clean" 1 "$(cat $M/p2/ctrl_hw_id)"

# All classes but one are in use, and of that one all ids are in limbo.
taken=2
while [ $taken -lt "$PARTIDS" ] && [ "$(Ws mkdir $M/q$taken)" = ok ]; do taken=$((taken + 1)); done
is "all classes can be had" "$PARTIDS" $taken
fill_up $M/p2
for pmg in $(seq 0 $((PMGS - 1))); do rdt-traffic occupancy 0 "1/$pmg" 1M; done
rmdir $M/p2
is "abi-231 a class without a clean id is no use" "ENOSPC, Out of RMIDs" "$(Ws mkdir $M/p3), $(lcs)"
is "and nothing remains" no "$([ -e $M/p3 ] && echo yes || echo no)"
for pmg in $(seq 0 $((PMGS - 1))); do rdt-traffic occupancy 0 "1/$pmg" 0; done
is "abi-231 until its lines have gone" ok "$(within 4 ok Ws mkdir $M/p3)"
umount_resctrl
# The next scenario needs ids too.
sleep 2.2
finish
