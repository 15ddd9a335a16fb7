#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A cache that two memory system components make up, each reached from two of its four CPUs: numbers are of both halves,
# whoever reads them, and of what is there when the CPUs of one have gone.
# needs: mpam.split l3.cat l3.bits>=12 mb llc_occupancy mbm_total_bytes pmgs=4 l3.domains=1 cpus=4
# timeout: 120

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

mount_resctrl debug >/dev/null
# Ids that the scenario before this one has just freed are in limbo for a moment.
sleep 2.5
mkdir $M/p0 $M/p0/mon_groups/m0 $M/p0/mon_groups/m1 $M/p0/mon_groups/m2
partid=$(cat $M/p0/ctrl_hw_id)
ctrl=$partid/$(cat $M/p0/mon_hw_id)
mon=$partid/$(cat $M/p0/mon_groups/m0/mon_hw_id)
# read_event EVENT [GROUP]
read_event() {
	cat "$M/${2:-p0}/mon_data/mon_L3_00/$1"
}
# move LABEL: a MiB, half of it through each component.
move() {
	rdt-traffic add 0 "$1" mbm_total_bytes 1M
}

accepted "values" $M/p0/schemata "L3:0=f0
MB:0=50"
is "abi-261 both halves are programmed" "f0 $(limit 50)" "$(holds cpbm 0 "$partid") $(holds mbw_max 0 "$partid")"
rdt-traffic occupancy 0 "$ctrl" 1M
rdt-traffic occupancy 0 "$mon" 300001
is "abi-261 occupancy is that of both halves" $(((1 << 20) + 300001)) "$(read_event llc_occupancy)"
is "abi-261 to the byte" 300001 "$(read_event llc_occupancy p0/mon_groups/m0)"
move "$ctrl"
move "$mon"
is "abi-262 so is bandwidth" $((2 << 20)) "$(read_event mbm_total_bytes)"
for cpu in 0 1 2 3; do
	on_cpu="taskset $(printf %x $((1 << cpu)))"
	is "abi-261 also from CPU $cpu" "300001 $((1 << 20))" \
		"$(for event in llc_occupancy mbm_total_bytes; do $on_cpu cat $M/p0/mon_groups/m0/mon_data/mon_L3_00/$event; done | xargs)"
done

rmdir $M/p0/mon_groups/m0
sleep 2.2
is "abi-261 an id waits for lines in both halves" ENOSPC "$(Ws mkdir $M/p0/mon_groups/m3)"
rdt-traffic occupancy 0 "$mon" 0
is "abi-261 and leaves limbo when they have gone" ok "$(within 5 ok Ws mkdir $M/p0/mon_groups/m3)"

# away CPU...: how it is without one half; its other half counts.
away() {
	before=$(read_event mbm_total_bytes)
	for cpu; do offline "$cpu"; done
	is "abi-263 without CPUs $* what half of the cache held is gone" $((1 << 19)) "$(read_event llc_occupancy)"
	is "abi-263 what it had counted is not" "$before" "$(read_event mbm_total_bytes)"
	move "$ctrl"
	is "abi-263 and the other half counts on" $((before + (1 << 19))) "$(read_event mbm_total_bytes)"
	accepted "values can be written" $M/p0/schemata "L3:0=$mask"
	rmdir $M/p0/mon_groups/m2
	is "abi-263 limbo does not wait for what is away" ok "$(within 5 ok Ws mkdir $M/p0/mon_groups/m2)"
	mkdir $M/p1
	label=$(cat $M/p1/ctrl_hw_id)/$(cat $M/p1/mon_hw_id)
	for cpu; do online "$cpu"; done
	is "abi-263 they reach the half that comes back" "$mask" "$(holds cpbm 0 "$partid")"
	is "abi-263 which holds what it held" $((1 << 20)) "$(read_event llc_occupancy)"
	move "$ctrl"
	is "abi-263 and counts on from where it was" $((before + (1 << 19) + (1 << 20))) "$(read_event mbm_total_bytes)"
	move "$label"
	is "abi-263 a counter that was given out meanwhile counts there, too" $((1 << 20)) "$(read_event mbm_total_bytes p1)"
	rmdir $M/p1
}
mask=ff0
away 2 3
mask=ff
away 0 1

rdt-traffic occupancy 0 "$ctrl" 0
umount_resctrl
is "abi-16 unmounting puts both halves back" "$L3_MASK" "$(holds_everywhere cpbm 0)"
sleep 2.2
finish
