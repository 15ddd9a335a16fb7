#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The trace event of limbo: one for each freed id and domain in every second.
# needs: x86 allocation llc_occupancy mon.power_of_two nodes=1 l3.domains=2
# machines: intel
# lasts: 10
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

T=/sys/kernel/tracing
E=$T/events/resctrl/mon_llc_occupancy_limbo
is "abi-239 the event is there" yes "$([ -d $E ] && echo yes || echo no)"
is "abi-239 its text" \
	'"ctrl_hw_id=%u mon_hw_id=%u domain_id=%d llc_occupancy_bytes=%llu", REC->ctrl_hw_id, REC->mon_hw_id, REC->domain_id, REC->llc_occupancy_bytes' \
	"$(sed -n 's/^print fmt: //p' $E/format)"
mount_resctrl debug >/dev/null
# Ids that were freed by others shall not be among the events.
sleep 2.2
echo >$T/trace
echo 1 >$E/enable
mkdir $M/p0
rmid=$(cat $M/p0/mon_hw_id)
rdt-traffic occupancy 0 "$rmid" 8M
rdt-traffic occupancy 1 "$rmid" 64K
threshold=$(cat $M/info/L3_MON/max_threshold_occupancy)
rmdir $M/p0
sleep 4.5
echo 0 >$E/enable
events() {
	# of domain $1: what comes behind the name of the event
	sed -n "s/^.* mon_llc_occupancy_limbo: //p" $T/trace | grep "mon_hw_id=$rmid domain_id=$1 "
}
is "abi-239 what an event says; there is no class on x86" \
	"ctrl_hw_id=4294967295 mon_hw_id=$rmid domain_id=0 llc_occupancy_bytes=$((8 << 20))" "$(events 0 | sort -u)"
between "abi-196 about one a second in a domain that is full of it" 3 5 "$(events 0 | wc -l)"
is "abi-196 one in a domain that has less than the threshold" 1 "$(events 1 | wc -l)"
check "abi-196 which has that much" [ "$threshold" -gt 65536 ]
is "abi-239 and says so" $((64 << 10)) "$(events 1 | sed 's/.*bytes=//')"
count=$(sed -n "s/^.* mon_llc_occupancy_limbo: //p" $T/trace | wc -l)
sleep 1.5
is "nothing is traced that nobody wants" "$count" "$(sed -n "s/^.* mon_llc_occupancy_limbo: //p" $T/trace | wc -l)"
rdt-traffic occupancy 0 "$rmid" 0
rdt-traffic occupancy 1 "$rmid" 0
sleep 1.2
umount_resctrl
finish
