#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Package telemetry: energy and performance of each group, counted by package, from the first mount on.
# needs: telemetry !telemetry.few !telemetry.wrong l3.cat llc_occupancy sockets=2 cpus=4
# kernels: debug plain
# guest: own
# timeout: 90
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

ENERGY="core_energy activity"
PERF="stalls_llc_hit c1_res unhalted_core_cycles stalls_llc_miss c6_res unhalted_ref_cycles uops_retired"
# of PACKAGE EVENT [GROUP]: what a file shows
of() {
	cat "$M/${3:+$3/}mon_data/mon_PERF_PKG_0$1/$2"
}
# every FILE_PATTERN: the files of that name, in the order of the shell
sorted() {
	echo "$@" | tr ' ' '\n' | sort | xargs
}
said() {
	dmesg | grep -c "$1"
}
joules() {
	echo $(($1 << 18))
}

is "nothing is known of it at boot" "" "$(grep PERF_PKG /run/dmesg)"
is "it mounts" ok "$(mount_resctrl debug)"
is "the log tells of each group of events" "1 1" \
	"$(said 'resctrl: PERF_PKG energy:0x26696143 monitoring detected$') $(said 'resctrl: PERF_PKG perf:0x26557651 monitoring detected$')"
is "abi-199 info has a directory for it" "L3 L3_MON PERF_PKG_MON last_cmd_status" "$(ls $M/info | xargs)"
is "with two files" "mon_features num_rmids" "$(ls $M/info/PERF_PKG_MON | xargs)"
is "that can only be read" "555 444 444" \
	"$(stat -c %a $M/info/PERF_PKG_MON $M/info/PERF_PKG_MON/mon_features $M/info/PERF_PKG_MON/num_rmids | xargs)"
is "abi-199 the events in the order of their ids" "$ENERGY $PERF" "$(xargs <$M/info/PERF_PKG_MON/mon_features)"
is "the L3 has its own" "$MON_EVENTS" "$(xargs <$M/info/L3_MON/mon_features)"
is "abi-200 each resource has its number of ids" "$RMIDS $TELEMETRY_RMIDS" \
	"$(cat $M/info/L3_MON/num_rmids) $(cat $M/info/PERF_PKG_MON/num_rmids)"

mkdir $M/p0 $M/p0/mon_groups/m0
for group in . p0 p0/mon_groups/m0; do
	is "abi-199 a directory for each package in $group" "mon_L3_00 mon_L3_01 mon_PERF_PKG_00 mon_PERF_PKG_01" \
		"$(ls $M/$group/mon_data | xargs)"
	is "with a file for each event" "$(sorted $ENERGY $PERF)" "$(ls $M/$group/mon_data/mon_PERF_PKG_01 | xargs)"
	is "modes are that of the directory above, and read only" "$(stat -c %a $M/$group/mon_data) 444 2" \
		"$(stat -c %a $M/$group/mon_data/mon_PERF_PKG_01 $M/$group/mon_data/mon_PERF_PKG_01/activity | xargs) $(stat -c %h $M/$group/mon_data/mon_PERF_PKG_01)"
done
is "nobody writes an event, root neither" EACCES "$(W $M/mon_data/mon_PERF_PKG_00/activity 0)"

ctrl=$(cat $M/p0/mon_hw_id)
mon=$(cat $M/p0/mon_groups/m0/mon_hw_id)
is "abi-193 what was never counted has no number" "Unavailable Unavailable" "$(of 0 core_energy p0) $(of 1 uops_retired p0)"
rdt-traffic telemetry 1 "$mon" core_energy "$(joules 2)"
is "abi-199 six decimals" 2.000000 "$(of 1 core_energy p0/mon_groups/m0)"
is "a group's monitoring groups are counted with it" 2.000000 "$(of 1 core_energy p0)"
is "by package" Unavailable "$(of 0 core_energy p0)"
is "by event" Unavailable "$(of 1 activity p0)"
is "by group" Unavailable "$(of 1 core_energy)"
rdt-traffic telemetry 1/1 "$ctrl" core_energy 1
is "abi-199 of 2^18 parts the last is seen" 2.000004 "$(of 1 core_energy p0)"
rdt-traffic telemetry 1/0 "$ctrl" core_energy $((1 << 17))
is "regions of a package add up" 2.500004 "$(of 1 core_energy p0)"
rdt-traffic telemetry 1/1 "$ctrl" core_energy $(((1 << 17) - 1))
is "abi-199 a fraction that is whole again" 3.000000 "$(of 1 core_energy p0)"
for part in 1 2 3 131071 131072 262143; do
	rdt-traffic telemetry 0 "$ctrl" activity $part
	note "activity grew by $part parts to $(of 0 activity p0)"
done
number=0
for event in $PERF; do
	number=$((number + 1))
	rdt-traffic telemetry 0 "$ctrl" "$event" $number
	is "abi-199 $event is a whole number, and no other's" $number "$(of 0 "$event" p0)"
done
rdt-traffic telemetry 0 "$ctrl" uops_retired $(((1 << 62) - 1))
is "a large one" $(((1 << 62) + 6)) "$(of 0 uops_retired p0)"
is "it is read from any CPU" "$(seq $CPUS | sed "s/.*/3.000000/" | xargs)" \
	"$(for cpu in $(seq 0 $((CPUS - 1))); do taskset "$(printf %x $((1 << cpu)))" cat $M/p0/mon_data/mon_PERF_PKG_01/core_energy; done | xargs)"
echo nonsense >$M/schemata 2>/dev/null
of 0 c1_res >/dev/null
is "a reading forgets what the last command had to say" ok "$(lcs)"

# A package goes with its last CPU, and its counts are not forgotten.
last=mon_PERF_PKG_01
mkfifo /tmp/in
resctrl-sys hold rdonly $M/p0/mon_data/$last/core_energy </tmp/in >/tmp/held &
exec 6>/tmp/in
sleep 0.3
offline "$(cpus_of 1 | head -n 1)"
is "abi-205 with one CPU less the package stays" 3.000000 "$(of 1 core_energy p0)"
offline "$(cpus_of 1 | tail -n 1)"
for group in . p0 p0/mon_groups/m0; do
	is "abi-205 with its last CPU its directory goes in $group" "mon_L3_00 mon_PERF_PKG_00" "$(ls $M/$group/mon_data | xargs)"
done
printf 'read\n' >&6
exec 6>&-
wait $!
like "abi-213 an open file of it is stale" "ENO[DE][EN][VT]" "$(cat /tmp/held)"
mkdir $M/p1
is "a new group has no directory for it" "mon_L3_00 mon_PERF_PKG_00" "$(ls $M/p1/mon_data | xargs)"
for cpu in $(cpus_of 1); do online "$cpu"; done
is "abi-206 it comes back in every group" "3.000000 2.000000 Unavailable" \
	"$(of 1 core_energy p0) $(of 1 core_energy p0/mon_groups/m0) $(of 1 core_energy p1)"

# Groups are as many as the resource with fewer ids allows: the default group, p0, m0, p1 have one each.
made=4
while [ "$(Ws mkdir $M/mon_groups/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-200 ids are the fewer of both" "$((RMIDS < TELEMETRY_RMIDS ? RMIDS : TELEMETRY_RMIDS)) Out of RMIDs" "$made $(lcs)"

# The only id that is free is used again, and goes on from where it was.
rmdir $M/p0/mon_groups/m0
is "the id of a group that has gone" ok "$(within 8 ok Ws mkdir $M/mon_groups/again)"
is "is used again" "$mon" "$(cat $M/mon_groups/again/mon_hw_id)"
is "and its counts go on" 2.000000 "$(of 1 core_energy mon_groups/again)"
is "a group that has lost it has its own alone" 1.000000 "$(of 1 core_energy p0)"

umount_resctrl
is "it mounts again" ok "$(mount_resctrl)"
is "everything is there again" "mon_L3_00 mon_L3_01 mon_PERF_PKG_00 mon_PERF_PKG_01" "$(ls $M/mon_data | xargs)"
is "nothing is looked for again" "1 1" "$(said 'energy:0x26696143 monitoring detected$') $(said 'perf:0x26557651 monitoring detected$')"
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
umount_resctrl
finish
