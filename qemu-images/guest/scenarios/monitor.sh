#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Monitoring data: events, what they count for whom, width, faults, limbo.
# needs: x86 allocation llc_occupancy mbm_total_bytes mbm_local_bytes mbm.counters>=8 mon.power_of_two nodes=1 l3.domains>=2 l3.domains<=10
# machines: intel intel-big intel-narrow-mbm amd amd-abmc
# lasts: 8

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl debug >/dev/null
D=$M/mon_data
read_event() {
	# event $1 of domain $2 of group $3
	cat "$M/${3:+$3/}mon_data/mon_L3_0$2/$1"
}
is "abi-188 one folder a domain, two digits" "$(seq 0 $((L3_DOMAINS - 1)) | sed 's/^/mon_L3_0/' | xargs)" "$(ls $D | xargs)"
is "abi-188 one file an event" "llc_occupancy mbm_local_bytes mbm_total_bytes" "$(ls $D/mon_L3_00 | xargs)"

mkdir $M/p0 $M/p0/mon_groups/m0 $M/p1
ctrl=$(cat $M/p0/mon_hw_id)
mon=$(cat $M/p0/mon_groups/m0/mon_hw_id)
is "abi-189 a new group's counters are at zero" "0 0" "$(read_event mbm_total_bytes 0 p0) $(read_event mbm_local_bytes 1 p0)"
rdt-traffic add 0 $ctrl mbm_total_bytes 64M
is "traffic is counted in its domain" "$((64 << 20)) 0" "$(read_event mbm_total_bytes 0 p0) $(read_event mbm_total_bytes 1 p0)"
rdt-traffic add 0 $mon mbm_total_bytes 32M
is "abi-191 a control group counts its monitoring groups too" "$((96 << 20)) $((32 << 20))" \
	"$(read_event mbm_total_bytes 0 p0) $(read_event mbm_total_bytes 0 p0/mon_groups/m0)"
is "another group sees nothing of it" 0 "$(read_event mbm_total_bytes 0 p1)"
rdt-traffic add 1 $ctrl mbm_local_bytes 3M
is "local traffic" "$((3 << 20))" "$(read_event mbm_local_bytes 1 p0)"

rdt-traffic occupancy 0 $ctrl 1M
is "occupancy" $((1 << 20)) "$(read_event llc_occupancy 0 p0)"
rdt-traffic occupancy 0 $mon 2M
is "abi-191 occupancy of a control group includes its monitoring groups" $((3 << 20)) "$(read_event llc_occupancy 0 p0)"
is "abi-192 occupancy is a multiple of the unit" 0 $(($(read_event llc_occupancy 0 p0) % MON_UNIT))

rdt-traffic fault 0 $mon mbm_total_bytes error
is "abi-193 a counter in error" Error "$(read_event mbm_total_bytes 0 p0/mon_groups/m0)"
rdt-traffic fault 0 $mon mbm_total_bytes unavailable
is "abi-193 a counter that is not available" Unavailable "$(read_event mbm_total_bytes 0 p0/mon_groups/m0)"
rdt-traffic fault 0 $mon mbm_total_bytes none

# Three quarters of the counter's range a step, a step for each read of the overflow worker.
range=$(((1 << MON_COUNTER_BITS) * MON_UNIT))
rmid=$(cat $M/p1/mon_hw_id)
before=0
wraps=0
monotonic=yes
while [ $wraps -lt 4 ]; do
	rdt-traffic add 0 "$rmid" mbm_total_bytes $((range / 4 * 3))
	sleep 1.6
	after=$(read_event mbm_total_bytes 0 p1)
	[ "$after" -ge $((before + range / 2)) ] || monotonic="no, $before then $after"
	before=$after
	wraps=$((wraps + 1))
done
is "abi-190 counts go on over three wraps" yes "$monotonic"
is "abi-190 and nothing is lost" $((range * 3)) "$before"

rdt-traffic occupancy 0 "$mon" 0
rdt-traffic occupancy 0 "$ctrl" 0
rmdir $M/p0 $M/p1
umount_resctrl
mount_resctrl >/dev/null
rdt-traffic add 0 0 mbm_total_bytes 1M
is "abi-197 a new mount begins at zero" $((1 << 20)) "$(read_event mbm_total_bytes 0)"
umount_resctrl
finish
