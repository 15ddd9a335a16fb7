#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Bandwidth counters of MPAM: given and taken away, domain by domain, until none is left; and what they count beyond their width.
# needs: mpam mb mbm_total_bytes mon_groups>=2 partids>=6 l3.first_id=0 l3.domains<=2 !t241 !vhe
# machines: mpam mpam-2l3 mpam-cmax mpam-few-monitors mpam-wide
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

mount_resctrl debug >/dev/null
I=$M/info/L3_MON
A=mbm_L3_assignments
last=$((L3_DOMAINS - 1))
# every VALUE: it for all domains, as files have it.
every() {
	seq 0 $last | sed "s/\$/=$1/" | xargs | tr ' ' ';'
}
left() {
	cat $I/available_mbm_cntrs
}
assigned() {
	cat "$M/${1:+$1/}$A"
}
# count DOMAIN [GROUP]
count() {
	cat "$M/${2:+$2/}mon_data/mon_L3_0$1/mbm_total_bytes"
}
# label GROUP: as rdt-traffic takes it.
label() {
	echo "$(cat "$M/$1/ctrl_hw_id")/$(cat "$M/$1/mon_hw_id")"
}

is "abi-227 counters are assigned" "[mbm_event]" "$(cat $I/mbm_assign_mode)"
accepted "abi-227 the mode that it is" $I/mbm_assign_mode mbm_event
refused "abi-227 there is no other" EINVAL "Counter assignment mode is not configurable" $I/mbm_assign_mode default
is "abi-64 no newline" "EINVAL, mbm_assign_mode: Invalid input" "$(W $I/mbm_assign_mode mbm_event), $(lcs)"
is "abi-75 how many there are" "$(every "$COUNTERS")" "$(cat $I/num_mbm_cntrs)"
is "root has one in each domain" "mbm_total_bytes:$(every e), $(every $((COUNTERS - 1)))" "$(assigned), $(left)"
mkdir $M/p0
is "abi-76 a new group takes one" "mbm_total_bytes:$(every e), $(every $((COUNTERS - 2)))" "$(assigned p0), $(left)"
accepted "abi-78 new groups get none" $I/mbm_assign_on_mkdir 0
refused "abi-78 neither 0 nor 1" EINVAL "mbm_assign_on_mkdir: Invalid input" $I/mbm_assign_on_mkdir x
mkdir $M/p1
is "abi-78 a new group has none" "mbm_total_bytes:$(every _), $(every $((COUNTERS - 2)))" "$(assigned p1), $(left)"
is "abi-78 its events read Unassigned" Unassigned "$(count $last p1)"

accepted "abi-79 in one domain" $M/p1/$A "mbm_total_bytes:0=e"
is "abi-79 is assigned there" e "$(assigned p1 | sed 's/^.*:0=//; s/;.*$//')"
[ $last -eq 0 ] || is "abi-79 and only there" "Unassigned" "$(count $last p1)"
is "abi-79 and begins at 0" 0 "$(count 0 p1)"
accepted "what is assigned can be assigned" $M/p1/$A "mbm_total_bytes:0=e"
accepted "abi-79 taken away there" $M/p1/$A "mbm_total_bytes:0=_"
is "abi-79 it is gone" "mbm_total_bytes:$(every _)" "$(assigned p1)"
refused "abi-80 an unknown event" ENOENT "Invalid event foo" $M/p1/$A "foo:0=e"
refused "abi-80 occupancy has no counter to assign" ENOENT "Invalid event llc_occupancy" $M/p1/$A "llc_occupancy:0=e"
refused "abi-80 local bandwidth is not told apart" ENOENT "Invalid event mbm_local_bytes" $M/p1/$A "mbm_local_bytes:0=e"
refused "abi-81 an unknown domain" EINVAL "Invalid domain id 99" $M/p1/$A "mbm_total_bytes:99=e"
refused "abi-81 no domain" EINVAL "Missing domain id" $M/p1/$A "mbm_total_bytes:x=e"
refused "abi-81 an unknown state" EINVAL "Assign operation 'mbm_total_bytes:0=q' failed" $M/p1/$A "mbm_total_bytes:0=q"
refused "abi-81 more than one letter" EINVAL "Assign operation 'mbm_total_bytes:*=ee' failed" $M/p1/$A "mbm_total_bytes:*=ee"
is "abi-81 no newline" "EINVAL, mbm_L3_assignments: Invalid input" "$(W $M/p1/$A mbm_total_bytes:0=e), $(lcs)"
accepted "abi-79 everywhere" $M/p1/$A "mbm_total_bytes:*=e"
is "abi-79 is assigned everywhere" "mbm_total_bytes:$(every e)" "$(assigned p1)"
# The kernel's own counts from the first read on, not from the assignment.
is "abi-79 and begins at 0 there, too" 0 "$(count $last p1)"

# What events count cannot be chosen.
F=$I/event_configs/mbm_total_bytes/event_filter
is "abi-228 who may write the filter of an event" 444 "$(stat -c %a $F)"
chmod 644 $F
is "abi-228 no newline" "EINVAL, event_filter: Invalid input" "$(W $F local_reads), $(lcs)"
refused "abi-228 it cannot be changed" EPERM "event_filter is not configurable" $F local_reads

# More than a counter of so many bits holds.
beyond=3145728
[ "$MON_COUNTER_BITS" -gt 44 ] || beyond=$(((1 << MON_COUNTER_BITS) + beyond))
rdt-traffic add $last "$(label p1)" mbm_total_bytes 1M
is "what is moved is counted" $((1 << 20)) "$(count $last p1)"
rdt-traffic add $last "$(label p1)" mbm_total_bytes $beyond
is "one that overflows is counted on" $(((1 << 20) + beyond)) "$(count $last p1)"
rdt-traffic add $last "$(label p1)" mbm_total_bytes 1M
is "once" $(((2 << 20) + beyond)) "$(count $last p1)"
is "nobody else's is touched" 0 "$(count $last p0)"

if [ $last -gt 0 ]; then
	for cpu in $(cpus_of $last); do offline "$cpu"; done
	is "abi-205 a domain that goes" "mbm_total_bytes:0=e" "$(assigned p1)"
	for cpu in $(cpus_of $last); do online "$cpu"; done
	is "abi-207 comes back without any counter assigned" "mbm_total_bytes:0=e;1=_" "$(assigned p1)"
	accepted "abi-207 they can be" $M/p1/$A "mbm_total_bytes:1=e"
	is "abi-207 and begin at 0" 0 "$(count $last p1)"
	rdt-traffic add $last "$(label p1)" mbm_total_bytes 1M
	is "abi-207 and count" $((1 << 20)) "$(count $last p1)"
fi

if [ "$COUNTERS" -le 8 ]; then
	accepted "abi-78 new groups get some again" $I/mbm_assign_on_mkdir 1
	made=3
	while [ $made -lt "$COUNTERS" ]; do
		mkdir $M/g$made
		made=$((made + 1))
	done
	is "groups take the rest" "$(every 0)" "$(left)"
	is "abi-77 a group for which none is left can be made" ok "$(Ws mkdir $M/h)"
	is "abi-77 the status says what it lacks" "Failed to allocate counter for mbm_total_bytes in domain 0" "$(lcs)"
	refused "abi-82 none is left" ENOSPC \
		"Failed to allocate counter for mbm_total_bytes in domain 0 / Assign operation 'mbm_total_bytes:0=e' failed" \
		$M/h/$A "mbm_total_bytes:0=e"
fi
umount_resctrl
mount_resctrl >/dev/null
accepted "new groups get some again" $I/mbm_assign_on_mkdir 1
umount_resctrl
finish
