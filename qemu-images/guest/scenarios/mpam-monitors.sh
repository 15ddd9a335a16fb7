#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Occupancy: whose, where, with as many monitors as there are, and when they are not ready.
# needs: mpam l3.cat llc_occupancy partids>=3 pmgs>=2 l3.first_id=0 l3.domains<=10
# machines: mpam mpam-2l3 mpam-ris mpam-few-monitors mpam-split
# lasts: 10

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

mount_resctrl debug >/dev/null
last=$((L3_DOMAINS - 1))
# read_event DOMAIN [GROUP]: its occupancy
read_event() {
	cat "$M/${2:+$2/}mon_data/mon_L3_0$1/llc_occupancy"
}
is "abi-188 one folder a domain, two digits" "$(seq 0 $last | sed 's/^/mon_L3_0/' | xargs)" "$(ls $M/mon_data | xargs)"
is "abi-188 one file an event" "$(events | tr ' ' '\n' | sort | xargs)" "$(ls $M/mon_data/mon_L3_00 | xargs)"

mkdir $M/p0 $M/p0/mon_groups/m0 $M/p1
ctrl=$(cat $M/p0/ctrl_hw_id)/$(cat $M/p0/mon_hw_id)
mon=$(cat $M/p0/ctrl_hw_id)/$(cat $M/p0/mon_groups/m0/mon_hw_id)
rdt-traffic occupancy $last "$ctrl" 1M
is "occupancy of a PARTID and PMG, in bytes" $((1 << 20)) "$(read_event $last p0)"
rdt-traffic occupancy $last "$mon" 2097155
is "abi-191 a control group's includes its monitoring groups'" $((3145731)) "$(read_event $last p0)"
is "abi-192 to the byte" 2097155 "$(read_event $last p0/mon_groups/m0)"
is "another group sees nothing of it" 0 "$(read_event $last p1)"
if [ $last -gt 0 ]; then
	is "nor does another domain" 0 "$(read_event 0 p0)"
fi

# As many readers at once as groups: they take turns at the monitors there are.
for round in 1 2 3 4 5 6 7 8; do
	for group in p0/mon_groups/m0 p0 p1 .; do
		cat $M/$group/mon_data/mon_L3_0$last/llc_occupancy >"/tmp/$round.$(echo $group | tr / _)" &
	done
done
wait
is "many readers at once all read right" "2097155 3145731 0" \
	"$(for name in p0_mon_groups_m0 p0 p1; do cat /tmp/[1-8].$name | sort -u; done | xargs)"

rdt-traffic fault $last "$mon" llc_occupancy unavailable
is "abi-193 a monitor that does not get ready" Unavailable "$(read_event $last p0/mon_groups/m0)"
is "a control group counts what it can" $((1 << 20)) "$(read_event $last p0)"
rdt-traffic fault $last "$mon" llc_occupancy none
is "and reads again when it does" 2097155 "$(read_event $last p0/mon_groups/m0)"

rdt-traffic occupancy $last "$mon" 0
rdt-traffic occupancy $last "$ctrl" 0
rmdir $M/p0 $M/p1
umount_resctrl
sleep 2.2
finish
