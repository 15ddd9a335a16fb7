#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Each schemata write arrives in the right memory system component, for the right PARTID, and tasks run with theirs.
# needs: mpam l3.cat l3.bits>=11 partids>=4 !vhe !t241
# machines: mpam mpam-2l3 mpam-l2 mpam-ris mpam-narrow mpam-no-monitors mpam-few-monitors mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

mount_resctrl debug >/dev/null
mkdir $M/p1 $M/p2
# Which PARTID and PMG a group gets depends on what is in limbo.
p1=$(cat $M/p1/ctrl_hw_id)
p2=$(cat $M/p2/ctrl_hw_id)
ids() {
	echo "$(cat "$M/$1/mon_hw_id" 2>/dev/null || echo 0) ${2:-$(cat "$M/$1/ctrl_hw_id")}"
}
last=$((L3_DOMAINS - 1))
first_id=$L3_FIRST_ID
last_id=$((L3_FIRST_ID + last))
full_bandwidth=$(holds mbw_max 0 0)

is "num_closids is the number of PARTIDs that all parts know" "$PARTIDS" "$(cat $M/info/L3/num_closids)"
accepted "p1, first domain" $M/p1/schemata "L3:$first_id=f0"
is "abi-216 it is p1's PARTID that gets it" f0 "$(holds cpbm 0 "$p1")"
accepted "a mask with holes" $M/p2/schemata "L3:$last_id=505"
is "it is p2's in the last domain" 505 "$(holds cpbm $last "$p2")"
if [ $last -gt 0 ]; then
	is "the other domain is untouched" "$L3_MASK $L3_MASK" "$(holds cpbm $last "$p1") $(holds cpbm 0 "$p2")"
fi
is "root is untouched" "$L3_MASK" "$(holds cpbm 0 0)"
is "a PARTID without a group has all portions" "$L3_MASK" "$(holds cpbm 0 $((PARTIDS - 1)))"

if [ -n "$MB_BITS" ]; then
	is "without a limit all implemented bits are set" "$(printf '%x' $((0xffff << (16 - MB_BITS) & 0xffff)))" "$full_bandwidth"
	accepted "bandwidth" $M/p1/schemata "MB:$last_id=50"
	is "half the bandwidth" "$(limit 50)" "$(holds mbw_max $last "$p1")"
	is "of that PARTID only" "$full_bandwidth $full_bandwidth" "$(holds mbw_max $last 0) $(holds mbw_max $last "$p2")"
fi
if [ "$MACHINE" = mpam-l2 ]; then
	accepted "portions of one L2" $M/p1/schemata "L2:$((L2_FIRST_ID + 2))=3"
	is "arrive in its component" "0xff 0x3" "$(msc control 2 0 "$p1" cpbm) $(msc control 3 0 "$p1" cpbm)"
fi

before=$(rdt-traffic writes control)
accepted "the same value again" $M/p1/schemata "L3:$first_id=f0"
is "abi-219 causes no write" 0 $(($(rdt-traffic writes control) - before))
before=$(rdt-traffic writes control)
Wn $M/p1/schemata "L3:$first_id=7
L3:$last_id=0" >/dev/null
is "abi-146 neither does a command that is refused" 0 $(($(rdt-traffic writes control) - before))
is "no access was an error to the hardware" 0 "$(msc error 0 | cut -d' ' -f3)"

# A task that keeps a CPU busy shows which PARTID and PMG it runs with.
resctrl-sys spin 1 60 &
spinner=$!
sleep 0.2
is "a task of root runs with PARTID 0" "0 0" "$(rdt-traffic assoc 1)"
echo $spinner >$M/p2/tasks
is "abi-88 a running task gets its PARTID and PMG at once" "$(ids p2)" "$(within 2 "$(ids p2)" rdt-traffic assoc 1)"
if [ "$PMGS" -gt 1 ] && [ -d $M/p2/mon_groups ]; then
	mkdir $M/p2/mon_groups/m
	echo $spinner >$M/p2/mon_groups/m/tasks
	own=$(ids p2/mon_groups/m "$p2")
	is "a monitoring group changes the PMG and not the PARTID" "$own" "$(within 2 "$own" rdt-traffic assoc 1)"
	is "it is another PMG" yes "$([ "$own" != "$(ids p2)" ] && echo yes)"
fi
rmdir $M/p2
is "abi-99 a task of a removed group runs with root's" "0 0" "$(within 2 "0 0" rdt-traffic assoc 1)"
echo 1 >$M/p1/cpus_list
is "a CPU's group counts for tasks of root" "$(ids p1)" "$(within 2 "$(ids p1)" rdt-traffic assoc 1)"
kill $spinner
wait $spinner 2>/dev/null
offline 1
online 1
is "abi-114 a CPU that comes back is root's" "0-$((CPUS - 1))" "$(cat $M/cpus_list)"

umount_resctrl
for domain in $(seq 0 $last); do
	is "abi-16 unmounting puts every mask of domain $domain back" "$L3_MASK" "$(holds_everywhere cpbm "$domain")"
	is "abi-16 and every limit" "$full_bandwidth" "$(holds_everywhere mbw_max "$domain")"
done
finish
