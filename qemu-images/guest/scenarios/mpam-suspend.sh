#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Hibernation: the power of processors and MSCs goes, and everything is as it was. (The firmware of emulated Arm machines knows
# no suspend to RAM.)
# needs: mpam l3.cat l3.bits>=8 mb monitoring pmgs>=2 l3.first_id=0 cpus>=2
# machines: mpam mpam-2l3 mpam-ris mpam-split mpam-vhe mpam-t241
# kernels: stock
# suspends: yes
# timeout: 240

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

mount_resctrl debug >/dev/null
last=$((L3_DOMAINS - 1))
mkdir $M/p1 $M/p1/mon_groups/m1
accepted "values" $M/p1/schemata "L3:0=f0
MB:$last=50"
accepted "CPUs, some of which go" $M/p1/cpus_list 0,$((CPUS - 1))
accepted "and one of a monitoring group" $M/p1/mon_groups/m1/cpus_list $((CPUS - 1))
partid=$(cat $M/p1/ctrl_hw_id)
pmg=$(cat $M/p1/mon_hw_id)
last_pmg=$(cat $M/p1/mon_groups/m1/mon_hw_id)
counter=$M/p1/mon_data/mon_L3_00/mbm_total_bytes
[ -e "$counter" ] || counter=
[ -z "$counter" ] || cat $M/p1/mbm_L3_assignments >/dev/null

# What every MSC holds of every PARTID, as far as software manages it.
controls() {
	for controls_of in $(seq 0 $last); do
		echo "$controls_of $(holds_everywhere cpbm "$controls_of") $(holds cpbm "$controls_of" "$partid")" \
			"$(holds_everywhere mbw_max "$controls_of") $(holds mbw_max "$controls_of" "$partid")"
	done
}
files() {
	head -n 100 $M/schemata $M/p1/schemata $M/cpus $M/p1/cpus $M/p1/mon_groups/m1/cpus
	ls $M/p1/mon_data
	cat $M/p1/mbm_L3_assignments 2>/dev/null
}
moves() {
	[ -z "$counter" ] || rdt-traffic add 0 "$partid/$pmg" mbm_total_bytes 1M
}
counted() {
	[ -z "$counter" ] || cat "$counter"
}
is "CPU 0 runs with p1's labels" "$pmg $partid" "$(within 5 "$pmg $partid" rdt-traffic assoc 0)"
is "the last one with m1's" "$last_pmg $partid" "$(within 5 "$last_pmg $partid" rdt-traffic assoc $((CPUS - 1)))"
moves
expected=${counter:+1048576}
before_controls=$(controls)
before_files=$(files)

for time in first second; do
	is "what p1 moves is counted" "$expected" "$(counted)"
	is "the machine goes on from an image, a $time time" ok "$(Ws hibernate rdt-traffic lose-power)"
	is "abi-271 every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
	is "abi-270 every MSC holds what it held" "$before_controls" "$(controls)"
	is "abi-270 CPU 0 runs with p1's labels" "$pmg $partid" "$(within 5 "$pmg $partid" rdt-traffic assoc 0)"
	is "abi-270 so does a CPU that was offline meanwhile" "$last_pmg $partid" \
		"$(within 5 "$last_pmg $partid" rdt-traffic assoc $((CPUS - 1)))"
	is "abi-271 groups, CPUs and domains are as they were" "$before_files" "$(files)"
	is "abi-272 nothing that was counted is lost" "$expected" "$(counted)"
	moves
	expected=${counter:+$((expected + 1048576))}
	is "abi-272 and counting goes on from there" "$expected" "$(counted)"
done

# Power is lost and nobody tells.
rdt-traffic lose-power
accepted "the same values again" $M/p1/schemata "L3:0=f0"
is "abi-273 repair what they are about" f0 "$(holds cpbm 0 "$partid")"
umount_resctrl
finish
