#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What is counted and how CPUs are labelled outlives CPUs that go, and power management that takes their registers away.
# needs: mpam mpam.uniform l3.cat l3.bits>=8 mb mbm_total_bytes l3.domains=1 l3.first_id=0 cpus=4
# machines: mpam
# kernels: stock
# guest: own
# timeout: 90

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

mount_resctrl debug >/dev/null
mkdir $M/p1
# All that runs on CPU 0 has the same labels, so no context switch writes them.
accepted "CPU 0 is p1's" $M/p1/cpus_list 0
accepted "values" $M/p1/schemata "L3:0=f0
MB:0=50"
partid=$(cat $M/p1/ctrl_hw_id)
pmg=$(cat $M/p1/mon_hw_id)
labels="$pmg $partid"
counter=$M/p1/mon_data/mon_L3_00/mbm_total_bytes
add() {
	rdt-traffic add 0 "$partid/$pmg" mbm_total_bytes 1M
}
is "CPU 0 runs with p1's labels" "$labels" "$(within 2 "$labels" rdt-traffic assoc 0)"
add
is "what p1 moves is counted" 1048576 "$(cat "$counter")"

for cpu in 1 2 3; do offline $cpu; done
add
is "abi-234 CPUs that went have taken nothing along" 2097152 "$(cat "$counter")"
for cpu in 3 1 2; do online $cpu; done
add
is "abi-234 nor have those that came" 3145728 "$(cat "$counter")"

# The CPU that makes the image is CPU 0: the others go offline. Nothing of what it loses here is written again by anybody
# but power management.
msc power-cycle 0
sleep 0.3
is "a CPU that has lost its labels runs without" "$((PMGS - 1)) $((PARTIDS - 1))" "$(rdt-traffic assoc 0)"
is "an image of the memory is made" ok "$(Ws image)"
is "abi-234 power management gives a CPU its labels back" "$labels" "$(rdt-traffic assoc 0)"
is "every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
add
is "abi-234 and counting goes on" 4194304 "$(cat "$counter")"
is "controls are as they were" "f0 $(limit 50)" "$(holds cpbm 0 "$partid") $(holds mbw_max 0 "$partid")"
umount_resctrl
finish
