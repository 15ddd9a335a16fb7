#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A monitoring group moves below another control group, where monitoring ids belong to a PARTID: it gets one of its new parent's.
# needs: mpam l3.cat llc_occupancy partids>=3 pmgs>=3 l3.first_id=0 cpus>=2
# machines: mpam mpam-2l3 mpam-few-monitors
# lasts: 10

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

mount_resctrl debug >/dev/null
# Ids that the scenario before this one has just freed are in limbo for a moment.
sleep 2.5
mkdir $M/p0 $M/p1 $M/p0/mon_groups/m $M/p1/mon_groups/m
# ids PARENT [NAME]: PMG and PARTID of a group, as rdt-traffic prints them.
ids() {
	echo "$(cat "$M/$1/${2:+mon_groups/$2/}mon_hw_id") $(cat "$M/$1/ctrl_hw_id")"
}
# pair IDS: as rdt-traffic takes them.
pair() {
	echo "${1#* }/${1% *}"
}
# event PARENT NAME EVENT: in the first domain
event() {
	cat "$M/$1/mon_groups/$2/mon_data/mon_L3_00/$3"
}
has_bytes() {
	events | grep -q mbm_total_bytes
}

taskset 2 sh -c 'while :; do :; done' &
runs=$!
sleep 1000 &
sleeps=$!
for pid in $runs $sleeps; do
	accepted "a task of the group" $M/p0/tasks $pid
	accepted "and of its monitoring group" $M/p0/mon_groups/m/tasks $pid
done
old=$(ids p0 m)
is "it runs with the group's ids" "$old" "$(within 2 "$old" rdt-traffic assoc 1)"
rdt-traffic occupancy 0 "$(pair "$old")" 1M
if has_bytes; then
	assigned=$(cat $M/p0/mon_groups/m/mbm_L3_assignments)
	available=$(cat $M/info/L3_MON/available_mbm_cntrs)
	rdt-traffic add 0 "$(pair "$old")" mbm_total_bytes 5M
fi

is "abi-295 the group moves" "ok ok" "$(Ws rename $M/p0/mon_groups/m $M/p1/mon_groups/n) $(lcs)"
new=$(ids p1 n)
is "abi-295 its id is one of its new parent's" "$(cat $M/p1/ctrl_hw_id)" "${new#* }"
is "abi-295 that no other group has" "" "$(cat $M/p1/mon_hw_id $M/p1/mon_groups/*/mon_hw_id | sort | uniq -d)"
is "abi-295 its task goes on with the new ids" "$new" "$(within 2 "$new" rdt-traffic assoc 1)"
is "abi-295 the one that sleeps is a member, too" "$runs $sleeps" "$(sort -n $M/p1/mon_groups/n/tasks | xargs)"
is "abi-295 of the new parent as well" "$runs $sleeps" "$(sort -n $M/p1/tasks | xargs)"
is "abi-295 and not of the old one" "" "$(cat $M/p0/tasks)"
if has_bytes; then
	is "abi-296 it has the counters that it had" "$assigned $available" \
		"$(cat $M/p1/mon_groups/n/mbm_L3_assignments) $(cat $M/info/L3_MON/available_mbm_cntrs)"
	is "abi-296 which begin at 0" 0 "$(event p1 n mbm_total_bytes)"
	rdt-traffic add 0 "$(pair "$new")" mbm_total_bytes 3M
	rdt-traffic add 0 "$(pair "$old")" mbm_total_bytes 7M
	is "abi-296 and count what is done with the new ids" $((3 << 20)) "$(event p1 n mbm_total_bytes)"
fi
is "abi-297 lines of the old ids are not the group's" 0 "$(event p1 n llc_occupancy)"

# The old PMG is in limbo: all others of p0 can be had.
made=0
while [ $made -lt 100 ] && result=$(Ws mkdir $M/p0/mon_groups/g$made) && [ "$result" = ok ]; do
	made=$((made + 1))
done
is "abi-297 the old id is in limbo" "$((PMGS - 2)), ENOSPC, Out of RMIDs" "$made, $result, $(lcs)"
other=$(ids p1 m)
is "abi-298 so no other group moves there" "ENOSPC, Out of RMIDs" "$(Ws rename $M/p1/mon_groups/m $M/p0/mon_groups/o), $(lcs)"
is "abi-298 and what did not move is as it was" "$other, no" \
	"$(ids p1 m), $([ -e $M/p0/mon_groups/o ] && echo yes || echo no)"
is "abi-297 but the group that had it can move back" "ok, ok" "$(Ws rename $M/p1/mon_groups/n $M/p0/mon_groups/m), $(lcs)"
is "abi-297 to the same id" "$old" "$(ids p0 m)"
is "abi-297 whose lines are its own" $((1 << 20)) "$(event p0 m llc_occupancy)"
rdt-traffic occupancy 0 "$(pair "$old")" 0
is "abi-295 with its task" "$old" "$(within 2 "$old" rdt-traffic assoc 1)"
is "it goes as others do" "ok, $(ids p0)" "$(errno rmdir $M/p0/mon_groups/m), $(within 2 "$(ids p0)" rdt-traffic assoc 1)"

# What never moves, as on every machine.
accepted "a CPU of the parent" $M/p0/cpus_list 1
accepted "and of its monitoring group" $M/p0/mon_groups/g0/cpus_list 1
is "abi-130 with CPUs it cannot move" "EPERM, Cannot move a MON group that monitors CPUs" \
	"$(Ws rename $M/p0/mon_groups/g0 $M/p1/mon_groups/c), $(lcs)"
is "abi-130 but be renamed" "ok, 1" "$(Ws rename $M/p0/mon_groups/g0 $M/p0/mon_groups/d), $(cat $M/p0/mon_groups/d/cpus_list)"
is "abi-131 a control group" "EPERM, Source must be a MON group" "$(Ws rename $M/p0 $M/p9), $(lcs)"
is "abi-132 out of its folder" "EPERM, Destination must be a mon_groups subdirectory" \
	"$(Ws rename $M/p0/mon_groups/d $M/d), $(lcs)"
is "abi-134 a file" EPERM "$(Ws rename $M/p0/tasks $M/p0/mon_groups/tasks)"
like "abi-134 the status says why" "Source and destination must be directories*" "$(lcs)"

kill $runs $sleeps
umount_resctrl
# The next scenario needs ids too.
sleep 2.2
finish
