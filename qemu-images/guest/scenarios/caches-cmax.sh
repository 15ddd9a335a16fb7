#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A maximum capacity, which no file of resctrl has, limits what a program occupies, whatever portions it may fill; a soft one only others' ways.
# needs: mpam l3.cat llc_occupancy
# machines: mpam-cmax
# guest: own
# timeout: 240

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/msc.sh

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"
mkdir $M/walker $M/neighbour
counters=$M/walker/mon_data/mon_L3_00
read -r at _ <<END
$l3_instances
END
at=${at#*,}
msc=${at%,*}
ris=${at#*,}

# The PARTID of a group: the one whose portions change with its file.
partid=
number=1
accepted "its own portions" $M/walker/schemata "L3:0=1"
while [ $number -lt "$PARTIDS" ]; do
	[ "$(msc control "$msc" "$ris" $number cpbm)" != 0x1 ] || partid=$number
	number=$((number + 1))
done
accepted "all portions" $M/walker/schemata "L3:0=$L3_MASK"
note "the group has PARTID $partid of MSC $msc, RIS $ris"

# walk COMMAND...: walks, when COMMAND has run, over memory that it has, so that the kernel need not make any meanwhile.
walk() {
	as_member walker taskset 1 cache-load return $((L3_SIZE * 2)) read "$@" >/dev/null
	occupancy=$(cat $counters/llc_occupancy)
}
# Of 8: others take some of what is theirs again when they have nothing else to take.
for eighths in 1 2 4 6; do
	# A fraction of 16 bits.
	check "a maximum of $eighths eighths" msc set "$msc" "$ris" "$partid" cmax $((eighths * 0x2000))
	walk rdt-traffic caches follow
	share=$((L3_SIZE / 8 * eighths))
	echo "# point eighths_of_the_maximum occupancy_in_percent_of_the_L3 $eighths $((occupancy * 100 / L3_SIZE))"
	note "maximum $eighths eighths: $occupancy of $share bytes"
	between "abi-417 a walker with a maximum of $eighths eighths occupies so much" $((share * 98 / 100)) $((share * 102 / 100)) "$occupancy"
done

# A soft maximum is none where nobody else has lines.
check "a soft maximum" msc set "$msc" "$ris" "$partid" cmax $((0x80000000 | 2 * 0x2000))
walk rdt-traffic caches follow
note "soft maximum of 2 eighths, alone: $occupancy of $L3_SIZE bytes"
# Shells and kernel have some of it.
between "abi-418 beyond a soft maximum it fills what is empty" $((L3_SIZE * 3 / 4)) "$L3_SIZE" "$occupancy"
# shellcheck disable=SC2016 # for the other shell
neighbour='rdt-traffic caches follow && echo $$ >'$M'/neighbour/tasks && exec taskset 2 cache-load walk '$((L3_SIZE * 2))' 1 read >/dev/null'
walk sh -c "$neighbour"
share=$((L3_SIZE / 4))
note "beside a neighbour: $occupancy of $share bytes"
between "abi-418 and takes nobody's" $((share * 95 / 100)) $((share * 105 / 100)) "$occupancy"
# Without a limit, as the next scenario expects it.
msc set "$msc" "$ris" "$partid" cmax 0xffff
rdt-traffic caches still
rmdir $M/walker $M/neighbour
umount_resctrl
finish
