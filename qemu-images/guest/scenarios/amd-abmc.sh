#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# AMD: bandwidth counters that are assigned to groups (ABMC), and the mode without assignment.
# needs: abmc abmc.counters=8 bmec mb l3.domains=2 cpus=4
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh

off="mbm_event counter assignment mode is not enabled"
mount_resctrl debug >/dev/null
I=$M/info/L3_MON
A=mbm_L3_assignments
left() {
	# counters that are free, in each domain
	cat $I/available_mbm_cntrs
}
assigned() {
	xargs <"$M/${1:+$1/}$A"
}
count() {
	# event $1 of domain $2 of group $3
	cat "$M/${3:+$3/}mon_data/mon_L3_0$2/mbm_$1_bytes"
}
MB=$((1 << 20))
all="mbm_total_bytes:0=e;1=e mbm_local_bytes:0=e;1=e"
none="mbm_total_bytes:0=_;1=_ mbm_local_bytes:0=_;1=_"

is "abi-71 counters are assigned after boot" "[mbm_event] default" "$(xargs <$I/mbm_assign_mode)"
is "abi-71 every CPU knows" "1 1 1 1" "$(msr_of_cpus $L3_QOS_EXT_CFG)"
is "abi-75 how many there are" "0=$COUNTERS;1=$COUNTERS" "$(cat $I/num_mbm_cntrs)"
is "modes of the files" "644 444 444 644 644 644" "$(cd $I && stat -c %a mbm_assign_mode num_mbm_cntrs available_mbm_cntrs \
	mbm_assign_on_mkdir event_configs/mbm_total_bytes/event_filter event_configs/mbm_local_bytes/event_filter | xargs)"
is "mbm_event mode has no event to configure" "llc_occupancy mbm_total_bytes mbm_local_bytes" "$(xargs <$I/mon_features)"
is "root has two in each domain" "$all, 0=$((COUNTERS - 2));1=$((COUNTERS - 2))" "$(assigned), $(left)"
is "abi-78 a new group gets some" 1 "$(cat $I/mbm_assign_on_mkdir)"
mkdir $M/p0
is "abi-76 a new group takes two" "$all, 0=$((COUNTERS - 4));1=$((COUNTERS - 4))" "$(assigned p0), $(left)"
rmdir $M/p0
is "abi-76 and gives them back" "0=$((COUNTERS - 2));1=$((COUNTERS - 2))" "$(left)"

mkdir $M/p0 $M/p0/mon_groups/m0 $M/p1
is "three groups take the rest" "0=0;1=0" "$(left)"
is "abi-77 a group for which none is left can be made" ok "$(Ws mkdir $M/p2)"
like "abi-77 the status says what it lacks" "*Failed to allocate counter for mbm_total_bytes in domain 0*" "$(lcs)"
is "abi-77 it has none" "$none" "$(assigned p2)"
is "abi-78 and its events say so" "Unassigned Unassigned 0" "$(count total 0 p2) $(count local 1 p2) $(cat $M/p2/mon_data/mon_L3_00/llc_occupancy)"
rmdir $M/p2 $M/p1

p0=$(cat $M/p0/mon_hw_id)
m0=$(cat $M/p0/mon_groups/m0/mon_hw_id)
rdt-traffic transactions 0 "$p0" 0x2 1M
rdt-traffic transactions 0 "$p0" 0x10 2M
rdt-traffic transactions 0 "$m0" 0x1 8M
rdt-traffic transactions 1 "$p0" 0x40 16M
is "total counts all kinds, local those that are local" "$((11 * MB)) $((10 * MB)) $((16 * MB)) 0" \
	"$(count total 0 p0) $(count local 0 p0) $(count total 1 p0) $(count local 1 p0)"

accepted "abi-78 new groups get none" $I/mbm_assign_on_mkdir 0
refused "abi-78 neither 0 nor 1" EINVAL "mbm_assign_on_mkdir: Invalid input" $I/mbm_assign_on_mkdir x
mkdir $M/p1
is "abi-78 a new group has none" "$none" "$(assigned p1)"
is "abi-78 its events read Unassigned" "Unassigned Unassigned" "$(count total 0 p1) $(count local 0 p1)"
accepted "abi-79 one event in one domain" $M/p1/$A "mbm_total_bytes:0=e"
is "abi-79 is assigned there only" "mbm_total_bytes:0=e;1=_ mbm_local_bytes:0=_;1=_" "$(assigned p1)"
is "abi-79 and begins at 0" "0 Unassigned" "$(count total 0 p1) $(count total 1 p1)"
accepted "abi-79 taken away everywhere" $M/p1/$A "mbm_total_bytes:*=_"
is "abi-79 is Unassigned" "$none, Unassigned" "$(assigned p1), $(count total 0 p1)"

refused "abi-80 an unknown event" ENOENT "Invalid event foo" $M/p1/$A "foo:0=e"
refused "abi-80 occupancy has no counter to assign" ENOENT "Invalid event llc_occupancy" $M/p1/$A "llc_occupancy:0=e"
refused "abi-81 an unknown domain" EINVAL "Invalid domain id 99" $M/p1/$A "mbm_total_bytes:99=e"
refused "abi-81 no domain" EINVAL "Missing domain id" $M/p1/$A "mbm_total_bytes:x=e"
refused "abi-81 an unknown state" EINVAL "Assign operation 'mbm_total_bytes:0=q' failed" $M/p1/$A "mbm_total_bytes:0=q"
refused "abi-81 more than one letter" EINVAL "Assign operation 'mbm_total_bytes:*=ee' failed" $M/p1/$A "mbm_total_bytes:*=ee"
is "abi-81 no newline" "EINVAL, mbm_L3_assignments: Invalid input" "$(W $M/p1/$A mbm_total_bytes:0=e), $(lcs)"
is "none of them assigned anything" "$none" "$(assigned p1)"
accepted "abi-83 after all domains a line ends" $M/p1/$A "mbm_total_bytes:*=e;0=_"
is "abi-83 so that domain 0 is assigned" "mbm_total_bytes:0=e;1=e mbm_local_bytes:0=_;1=_" "$(assigned p1)"

accepted "the last counters" $M/p1/$A "mbm_local_bytes:0=e;1=e"
is "are taken" "0=0;1=0" "$(left)"
mkdir $M/p3
refused "abi-82 none is left" ENOSPC \
	"Failed to allocate counter for mbm_total_bytes in domain 0 / Assign operation 'mbm_total_bytes:0=e' failed" \
	$M/p3/$A "mbm_total_bytes:0=e"
accepted "what is assigned can be assigned" $M/p1/$A "mbm_total_bytes:0=e"
accepted "what is not can be taken away" $M/p3/$A "mbm_total_bytes:0=_"
rmdir $M/p3

accepted "abi-84 the control group gives its own away" $M/p0/$A "mbm_total_bytes:*=_"
is "abi-84 and shows what its monitoring group counts" "$((8 * MB)) $((8 * MB))" "$(count total 0 p0) $(count total 0 p0/mon_groups/m0)"
accepted "abi-84 that one's too" $M/p0/mon_groups/m0/$A "mbm_total_bytes:*=_"
is "abi-84 then there is nothing to show" "Unassigned Unassigned" "$(count total 0 p0) $(count total 0 p0/mon_groups/m0)"
refused "abi-303 a state that is missing is not shown as (null)" EINVAL "Assign operation 'mbm_total_bytes:0' failed" \
	$M/p0/$A "mbm_total_bytes:0"
accepted "assigned again" $M/p0/$A "mbm_total_bytes:*=e"
is "it begins at 0" 0 "$(count total 0 p0)"

F=$I/event_configs/mbm_total_bytes/event_filter
L=$I/event_configs/mbm_local_bytes/event_filter
local=local_reads,local_non_temporal_writes,local_reads_slow_memory
every=local_reads,remote_reads,local_non_temporal_writes,remote_non_temporal_writes,local_reads_slow_memory
every=$every,remote_reads_slow_memory,dirty_victim_writes_all
is "abi-85 what events count" "$every $local" "$(cat $F $L | xargs)"
p1=$(cat $M/p1/mon_hw_id)
rdt-traffic transactions 0 "$p0" 0x4 3M
rdt-traffic transactions 0 "$p1" 0x4 3M
is "a write counts" "$((3 * MB)) $((3 * MB)) $((3 * MB))" "$(count total 0 p0) $(count total 0 p1) $(count local 0 p1)"
accepted "abi-85 in any order" $F "remote_reads, local_reads"
is "abi-85 reads back in its own" local_reads,remote_reads "$(cat $F)"
is "abi-87 all counters of that event begin anew, of the other go on" "0 0 $((3 * MB))" \
	"$(count total 0 p0) $(count total 0 p1) $(count local 0 p1)"
rdt-traffic transactions 0 "$p1" 0x4 5M
rdt-traffic transactions 0 "$p1" 0x2 1M
is "abi-87 and count what is chosen" "$MB $((8 * MB))" "$(count total 0 p1) $(count local 0 p1)"
accepted "abi-87 the same filter" $F "local_reads,remote_reads"
is "abi-87 begins nothing anew" "$MB" "$(count total 0 p1)"
refused "abi-86 an unknown kind" EINVAL "Invalid memory transaction type bogus" $F bogus
refused "abi-86 a good one before it" EINVAL "Invalid memory transaction type bogus" $F "local_reads,bogus"
is "abi-86 changes nothing" local_reads,remote_reads "$(cat $F)"
is "abi-86 no newline" "EINVAL, event_filter: Invalid input" "$(W $F local_reads), $(lcs)"
accepted "abi-86 nothing at all" $F ""
is "abi-86 reads back as an empty line" 1 "$(wc -c <$F)"
accepted "abi-86 with a comma at the end" $F "local_reads,"

# A domain that goes and comes back.
for cpu in 2 3; do offline $cpu; done
is "abi-205 the domain has left all files" "0=1 0=$COUNTERS mbm_total_bytes:0=e mbm_local_bytes:0=e" \
	"$(left) $(cat $I/num_mbm_cntrs) $(assigned)"
for cpu in 3 2; do online $cpu; done
is "abi-207 it comes back without any counter assigned" "mbm_total_bytes:0=e;1=_ mbm_local_bytes:0=e;1=_, 0=1;1=$COUNTERS" \
	"$(assigned), $(left)"
is "abi-207 its CPUs know the mode" "1 1 1 1" "$(msr_of_cpus $L3_QOS_EXT_CFG)"
accepted "abi-207 they can be assigned" $M/$A "mbm_total_bytes:1=e"
rdt-traffic transactions 1 0 0x1 1M
is "abi-207 and count" "$MB" "$(count total 1)"

# The other mode.
refused "abi-64 an unknown mode" EINVAL "Unsupported assign mode" $I/mbm_assign_mode bogus
is "abi-64 one without a newline" "EINVAL, mbm_assign_mode: Invalid input" "$(W $I/mbm_assign_mode default), $(lcs)"
accepted "abi-72 the mode without assignment" $I/mbm_assign_mode default
is "abi-72 is shown first" "[default] mbm_event" "$(xargs <$I/mbm_assign_mode)"
is "abi-72 every CPU knows" "0 0 0 0" "$(msr_of_cpus $L3_QOS_EXT_CFG)"
is "abi-72 what events count can be configured" "0=0x7f;1=0x7f 0=0x15;1=0x15" \
	"$(cat $I/mbm_total_bytes_config $I/mbm_local_bytes_config | xargs)"
for file in available_mbm_cntrs mbm_assign_on_mkdir event_configs/mbm_total_bytes/event_filter; do
	is "abi-72 $file cannot be read" "EINVAL, $off" "$(R $I/$file), $(lcs)"
done
is "abi-72 assignments cannot be read" "EINVAL, $off" "$(R $M/p0/$A), $(lcs)"
refused "abi-72 filters cannot be written" EINVAL "$off" $F local_reads
refused "abi-72 new groups get none, whatever" EINVAL "$off" $I/mbm_assign_on_mkdir 1
refused "abi-73 nor can counters be assigned" EINVAL "mbm_event mode is not enabled" $M/p0/$A "mbm_total_bytes:0=e"
is "abi-75 how many there are can be read" "0=$COUNTERS;1=$COUNTERS" "$(cat $I/num_mbm_cntrs)"
is "abi-72 everything begins at 0" "0 0 0" "$(count total 0 p0) $(count local 0 p1) $(count total 1)"
rdt-traffic transactions 0 "$p0" 0x2 6M
mkdir $M/p4 $M/p5
is "abi-72 each group is counted" "$((6 * MB)) 0 0 0" "$(count total 0 p0) $(count local 0 p0) $(count total 0 p4) $(count local 1 p5)"
rmdir $M/p4 $M/p5
umount_resctrl
is "abi-8 mba_MBps is refused in this mode" EINVAL "$(mount_resctrl mba_MBps)"
mount_resctrl debug >/dev/null
is "abi-72 the mode outlives the mount" "[default] mbm_event" "$(xargs <$I/mbm_assign_mode)"
mkdir $M/p0

accepted "abi-74 assignment again" $I/mbm_assign_mode mbm_event
is "abi-74 is shown first" "[mbm_event] default" "$(xargs <$I/mbm_assign_mode)"
is "abi-74 every CPU knows" "1 1 1 1" "$(msr_of_cpus $L3_QOS_EXT_CFG)"
is "abi-74 nothing is to be configured" "ENOENT ENOENT" "$(R $I/mbm_total_bytes_config) $(R $I/mbm_local_bytes_config)"
is "abi-74 new groups get counters" 1 "$(cat $I/mbm_assign_on_mkdir)"
is "abi-74 all groups are without" "$none, $none, 0=$COUNTERS;1=$COUNTERS" "$(assigned), $(assigned p0), $(left)"
is "abi-74 filters are as after boot" "$every $local" "$(cat $F $L | xargs)"
accepted "abi-74 the same mode again" $I/mbm_assign_mode mbm_event
umount_resctrl
is "abi-8 mba_MBps is refused in this mode, too" EINVAL "$(mount_resctrl mba_MBps)"
mount_resctrl >/dev/null
is "a new mount assigns counters to root" "$all" "$(assigned)"
umount_resctrl
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
finish
