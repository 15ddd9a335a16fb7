#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sub-NUMA clustering: an L3 that is several NUMA nodes is monitored node by node, and as a whole by sums.
# needs: intel nodes=2 llc_occupancy mbm_total_bytes mbm_local_bytes l3.domains=2 rmids<=100
# timeout: 90
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh
RMID_SNC_CONFIG=$((0xca0))
cpus_of_node() {
	seq $(($1 * CPUS / (L3_DOMAINS * NODES))) $((($1 + 1) * CPUS / (L3_DOMAINS * NODES) - 1))
}
# of NODE EVENT [GROUP], sum L3 EVENT [GROUP]: what a file shows
of() {
	cat "$M/${3:+$3/}mon_data/mon_L3_0$(($1 / NODES))/mon_sub_L3_0$1/$2"
}
sum() {
	cat "$M/${3:+$3/}mon_data/mon_L3_0$1/$2"
}
# traffic NODE RMID EVENT AMOUNT COMMAND: the hardware counts for the node by an RMID of the node's share
traffic() {
	rdt-traffic "$5" $(($1 / NODES)) $(($1 % NODES * RMIDS + $2)) "$3" "$4"
}
there() {
	for path; do [ -e "$M/mon_data/$path" ] && echo yes || echo no; done | xargs
}

like "the log tells how many nodes there are" "*Sub-NUMA Cluster mode detected with $NODES nodes per L3 cache*" \
	"$(grep 'Sub-NUMA' /run/dmesg)"
is "abi-8 the bandwidth controller is refused" EINVAL "$(mount_resctrl mba_MBps)"
is "it mounts" ok "$(mount_resctrl debug)"
is "every package shares its RMIDs out" "0 0" "$(msr_of 0 $RMID_SNC_CONFIG) $(msr_of 1 $RMID_SNC_CONFIG)"
is "abi-59 num_rmids is a node's share" "$RMIDS" "$(cat $M/info/L3_MON/num_rmids)"
is "abi-62 the threshold is a multiple of the whole cache's unit" $((L3_SIZE / RMIDS / MON_UNIT * MON_UNIT)) \
	"$(cat $M/info/L3_MON/max_threshold_occupancy)"
is "control is by cache" "0 1" "$(domains L3 | xargs)"

mkdir $M/p0 $M/p0/mon_groups/m0
for group in . p0 p0/mon_groups/m0; do
	is "abi-198 one directory a cache in $group" "mon_L3_00 mon_L3_01" "$(ls $M/$group/mon_data | xargs)"
	is "abi-198 sums, and a directory for each node" \
		"llc_occupancy mbm_local_bytes mbm_total_bytes mon_sub_L3_00 mon_sub_L3_01" \
		"$(ls $M/$group/mon_data/mon_L3_00 | xargs)"
	is "abi-198 nodes of the other cache" "mon_sub_L3_02 mon_sub_L3_03" \
		"$(ls -d $M/$group/mon_data/mon_L3_01/mon_sub* | sed 's,.*/,,' | xargs)"
	is "abi-198 files of a node" "llc_occupancy mbm_local_bytes mbm_total_bytes" \
		"$(ls $M/$group/mon_data/mon_L3_01/mon_sub_L3_03 | xargs)"
	is "modes are those of the directories above" "$(stat -c %a $M/$group/mon_data | sed 's/.*/& & &/') 444 444" \
		"$(stat -c %a $M/$group/mon_data $M/$group/mon_data/mon_L3_00 $M/$group/mon_data/mon_L3_00/mon_sub_L3_01 \
			$M/$group/mon_data/mon_L3_00/llc_occupancy $M/$group/mon_data/mon_L3_00/mon_sub_L3_01/llc_occupancy | xargs)"
	is "links: a cache has its nodes, a node nothing" "4 2" \
		"$(stat -c %h $M/$group/mon_data/mon_L3_00 $M/$group/mon_data/mon_L3_00/mon_sub_L3_01 | xargs)"
done

ctrl=$(cat $M/p0/mon_hw_id)
mon=$(cat $M/p0/mon_groups/m0/mon_hw_id)
traffic 0 "$ctrl" mbm_total_bytes 64M add
traffic 1 "$ctrl" mbm_total_bytes 32M add
traffic 3 "$ctrl" mbm_total_bytes 16M add
traffic 1 "$mon" mbm_total_bytes 8M add
is "each node counts for itself, a group's children among it" "$((64 << 20)) $((40 << 20)) 0 $((16 << 20))" \
	"$(for node in 0 1 2 3; do of $node mbm_total_bytes p0; done | xargs)"
is "abi-198 a sum is that of the nodes" "$((104 << 20)) $((16 << 20))" \
	"$(sum 0 mbm_total_bytes p0) $(sum 1 mbm_total_bytes p0)"
is "abi-198 in a monitoring group too" "0 $((8 << 20)) $((8 << 20))" \
	"$(of 0 mbm_total_bytes p0/mon_groups/m0) $(of 1 mbm_total_bytes p0/mon_groups/m0) $(sum 0 mbm_total_bytes p0/mon_groups/m0)"
traffic 2 "$ctrl" llc_occupancy $((MON_UNIT / NODES * 3)) set
traffic 3 "$ctrl" llc_occupancy $((MON_UNIT * 3)) set
is "abi-192 a node's unit is its part of the whole unit" "$((MON_UNIT / NODES * 3)) $((MON_UNIT * 3))" \
	"$(of 2 llc_occupancy p0) $(of 3 llc_occupancy p0)"
is "abi-198 occupancy adds up" $((MON_UNIT / NODES * 3 + MON_UNIT * 3)) "$(sum 1 llc_occupancy p0)"

traffic 0 "$mon" mbm_total_bytes error fault
is "abi-193 a node in error" Error "$(of 0 mbm_total_bytes p0/mon_groups/m0)"
is "abi-198 the sum is what can be read" $((8 << 20)) "$(sum 0 mbm_total_bytes p0/mon_groups/m0)"
traffic 1 "$mon" mbm_total_bytes error fault
is "abi-193 a sum of nothing, whatever the reason" Unavailable "$(sum 0 mbm_total_bytes p0/mon_groups/m0)"
is "abi-193 unless the group above has something" $((96 << 20)) "$(sum 0 mbm_total_bytes p0)"
traffic 0 "$mon" mbm_total_bytes none fault
traffic 1 "$mon" mbm_total_bytes none fault

# A program on a CPU of node 1 is counted there, by its group's id.
cpu=$(cpus_of_node 1 | tail -n 1)
resctrl-sys spin "$cpu" 60 &
spinner=$!
echo $spinner >$M/p0/tasks
echo $spinner >$M/p0/mon_groups/m0/tasks
rmid_of_cpu() { pqr "$cpu" | cut -d' ' -f1; }
# Now and then the CPU runs something of the kernel's.
is "a task carries its group's own id" "$mon" "$(within 5 "$mon" rmid_of_cpu)"
before=$(of 0 mbm_total_bytes p0/mon_groups/m0)
rdt-traffic flow "$cpu" 100M 50M 1M
sleep 0.5
rdt-traffic flow "$cpu" off
kill $spinner
check "traffic of a CPU is counted for its node" [ "$(of 1 mbm_total_bytes p0/mon_groups/m0)" -gt $((8 << 20)) ]
is "and for no other" "$before" "$(of 0 mbm_total_bytes p0/mon_groups/m0)"

# A node goes with its last CPU, its cache with the last node.
last=mon_L3_00/mon_sub_L3_01
mkfifo /tmp/in
resctrl-sys hold rdonly $M/mon_data/$last/llc_occupancy </tmp/in >/tmp/held &
exec 6>/tmp/in
sleep 0.3
offline "$(cpus_of_node 1 | head -n 1)"
is "abi-212 with one CPU less the node stays" yes "$(there $last)"
offline "$(cpus_of_node 1 | tail -n 1)"
is "abi-212 with its last CPU its directory goes, and no other" "no yes yes yes" \
	"$(there $last mon_L3_00/mon_sub_L3_00 mon_L3_00/llc_occupancy mon_L3_01/mon_sub_L3_03)"
is "abi-212 in every group" "no yes" \
	"$([ -e $M/p0/mon_groups/m0/mon_data/$last ] && echo yes || echo no) $([ -e $M/p0/mon_groups/m0/mon_data/mon_L3_00 ] && echo yes || echo no)"
is "abi-198 the sum is that of the node that is left" $((64 << 20)) "$(sum 0 mbm_total_bytes p0)"
printf 'read\n' >&6
exec 6>&-
wait $!
like "abi-213 an open file of the node is stale" "ENO[DE][EN][VT]" "$(cat /tmp/held)"
mkdir $M/p1
is "abi-212 a new group has no directory for it" "mon_sub_L3_00" "$(ls -d $M/p1/mon_data/mon_L3_00/mon_sub* | sed 's,.*/,,' | xargs)"
for cpu in $(cpus_of_node 1); do online "$cpu"; done
is "abi-206 it comes back" "yes yes" "$(there $last ../p1/mon_data/$last)"
is "abi-206 and counts from zero" "0 $((64 << 20))" "$(of 1 mbm_total_bytes p0) $(sum 0 mbm_total_bytes p0)"
for cpu in $(cpus_of 1); do offline "$cpu"; done
is "abi-212 with its last node a cache goes" "no yes" "$(there mon_L3_01 mon_L3_00)"
for cpu in $(cpus_of 1); do online "$cpu"; done
is "abi-206 and comes back with its nodes" "yes yes yes" \
	"$(there mon_L3_01/llc_occupancy mon_L3_01/mon_sub_L3_02 mon_L3_01/mon_sub_L3_03)"

# A freed id waits until every node is empty of it.
rmdir $M/p1
mkdir $M/p1
rmid=$(cat $M/p1/mon_hw_id)
traffic 1 "$rmid" llc_occupancy 8M set
rmdir $M/p1
sleep 2.5
made=0
while [ $made -lt 100 ] && [ "$(Ws mkdir $M/mon_groups/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-122 an id whose lines are in one node's part stays in limbo" "" "$(grep -lx "$rmid" $M/mon_groups/*/mon_hw_id)"
traffic 1 "$rmid" llc_occupancy 0 set
is "abi-122 and is free when they are gone" ok "$(within 4 ok Ws mkdir $M/mon_groups/last)"
is "abi-122 the same id" "$rmid" "$(cat $M/mon_groups/last/mon_hw_id)"
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
umount_resctrl
finish
