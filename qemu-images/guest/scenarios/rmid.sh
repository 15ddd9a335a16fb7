#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Monitoring ids: how many there are, that a freed one waits in limbo until its cache is empty.
# needs: x86 llc_occupancy rmids>=10 rmids<=100 !abmc nodes=1 l3.domains>=2
# machines: intel amd intel-mon-only intel-narrow-mbm
# lasts: 19

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl debug >/dev/null
# Ids that the scenario before this one has just freed are in limbo for a moment.
sleep 2.5
G=$M/mon_groups
limit=$((RMIDS - 1))
fill_up() {
	# makes groups until it is refused; sets `made` and `result`
	made=0
	while [ $made -lt 100 ]; do
		result=$(Ws mkdir $G/g$made)
		[ "$result" = ok ] || break
		made=$((made + 1))
	done
}
fill_up
is "abi-121 groups until monitoring ids run out" "$limit, ENOSPC, Out of RMIDs" "$made, $result, $(lcs)"
is "every id is another one" "$RMIDS" "$(cat $M/mon_hw_id $G/*/mon_hw_id | sort -u | wc -l)"

rmdir $G/g6
is "abi-194 the only spare id is not given to the next at once" "EBUSY, Out of RMIDs" "$(Ws mkdir $G/g6), $(lcs)"
is "abi-194 but after limbo has been looked through" ok "$(within 4 ok Ws mkdir $G/g6)"

rmid=$(cat $G/g7/mon_hw_id)
rdt-traffic occupancy 1 "$rmid" 8M
rmdir $G/g7
is "abi-122 right after the last one is freed" "EBUSY, Out of RMIDs" "$(Ws mkdir $G/again), $(lcs)"
sleep 2.2
is "abi-122 and as long as its cache is full" "EBUSY, Out of RMIDs" "$(Ws mkdir $G/again), $(lcs)"
rdt-traffic occupancy 1 "$rmid" 0
is "abi-122 but not when it is empty" ok "$(within 4 ok Ws mkdir $G/again)"
is "abi-122 it is the same id" "$rmid" "$(cat $G/again/mon_hw_id)"

rdt-traffic occupancy 0 "$rmid" $((LLC_SIZE / 4))
rmdir $G/again
sleep 1.5
is "abi-195 an id in limbo" EBUSY "$(Ws mkdir $G/again)"
threshold=$(cat $M/info/L3_MON/max_threshold_occupancy)
accepted "abi-195 raising the threshold" $M/info/L3_MON/max_threshold_occupancy $((LLC_SIZE / 2))
is "abi-195 frees it" ok "$(within 4 ok Ws mkdir $G/again)"
W $M/info/L3_MON/max_threshold_occupancy "$threshold" >/dev/null
rdt-traffic occupancy 0 "$rmid" 0

a=$(cat $G/g1/mon_hw_id)
b=$(cat $G/g2/mon_hw_id)
rmdir $G/g2
sleep 1.1
rmdir $G/g1
is "an id comes back" ok "$(within 4 ok Ws mkdir $G/first)"
is "and another" ok "$(within 4 ok Ws mkdir $G/second)"
is "abi-204 ids come back in the order they were freed" "$b $a" "$(cat $G/first/mon_hw_id $G/second/mon_hw_id | xargs)"

# An id in limbo of a domain that goes away is free at once.
last=$((L3_DOMAINS - 1))
rdt-traffic occupancy $last "$a" 8M
rmdir $G/second
sleep 1.5
is "abi-210 an id in limbo of the last domain" EBUSY "$(Ws mkdir $G/second)"
for cpu in $(cpus_of $last); do offline "$cpu"; done
is "abi-210 is free when that domain has gone" ok "$(Ws mkdir $G/second)"
for cpu in $(cpus_of $last); do online "$cpu"; done
rdt-traffic occupancy $last "$a" 0

umount_resctrl
mount_resctrl >/dev/null
sleep 2.2
fill_up
is "after unmounting all ids are there again" "$limit" "$made"
umount_resctrl
# The next scenario needs ids too.
sleep 2.2
finish
