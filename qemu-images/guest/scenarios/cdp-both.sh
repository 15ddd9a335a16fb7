#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Code and data apart in either cache, or in both: each halves its own classes.
# needs: x86 l2.cdp l3.cdp !mb !monitoring l2.bits>=8 l3.bits>=8 l3.closids<=100
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh

# caches: num_closids of every schema, in the order of their names
closids() {
	for file in $M/info/L*/num_closids; do
		file=${file%/num_closids}
		echo "${file##*/}=$(cat "$file/num_closids")"
	done | xargs
}
# fill: how many groups can be made
fill() {
	made=0
	while [ $made -lt 100 ] && [ "$(Ws mkdir $M/g$made)" = ok ]; do made=$((made + 1)); done
	echo $made
	rmdir $M/g*
}
options() {
	awk '$3 == "resctrl" { print $4 }' /proc/mounts
}
switches() {
	echo "$(msr_of 0 $L3_QOS_CFG) $(msr_of 0 $L2_QOS_CFG)"
}

is "neither" ok "$(mount_resctrl)"
is "abi-36 all classes" "L2=$L2_CLOSIDS L3=$L3_CLOSIDS" "$(closids)"
is "abi-137 names are as wide as they may become" "    L2    L3" "$(cut -d: -f1 $M/schemata | tr -d '\n')"
is "abi-120 groups" $((L2_CLOSIDS - 1)) "$(fill)"
umount_resctrl

is "L3 only" ok "$(mount_resctrl cdp)"
is "abi-36 classes of L3 are halved" "L2=$L2_CLOSIDS L3CODE=$((L3_CLOSIDS / 2)) L3DATA=$((L3_CLOSIDS / 2))" "$(closids)"
is "abi-136 order of the lines" "L2 L3DATA L3CODE" "$(cut -d: -f1 $M/schemata | xargs)"
is "abi-120 groups, with the L3's half" $((L3_CLOSIDS / 2 - 1)) "$(fill)"
is "abi-216 only the L3 is switched" "1 0" "$(switches)"
umount_resctrl

is "L2 only" ok "$(mount_resctrl cdpl2)"
is "abi-36 classes of L2 are halved" "L2CODE=$((L2_CLOSIDS / 2)) L2DATA=$((L2_CLOSIDS / 2)) L3=$L3_CLOSIDS" "$(closids)"
is "abi-120 groups, with the L2's half" $((L2_CLOSIDS / 2 - 1)) "$(fill)"
is "abi-216 only the L2 is switched" "0 1" "$(switches)"
umount_resctrl

is "both, in either order" ok "$(mount_resctrl cdpl2,cdp)"
is "abi-9 /proc/mounts has them in order" "rw,relatime,cdp,cdpl2" "$(options)"
is "abi-136 order of the lines" "L2DATA L2CODE L3DATA L3CODE" "$(cut -d: -f1 $M/schemata | xargs)"
is "abi-216 both are switched" "1 1" "$(switches)"
mkdir $M/p0
first=$(domains L2DATA | head -n 1)
accepted "four masks in one write" $M/p0/schemata "L3CODE:0=f
L3DATA:0=f0
L2CODE:$first=3
L2DATA:$first=c"
is "abi-216 data at 2c, code at 2c+1" "f0 f c 3" \
	"$(msr_of 0 $((L3_MASK_0 + 2))) $(msr_of 0 $((L3_MASK_0 + 3))) $(msr_of 0 $((L2_MASK_0 + 2))) $(msr_of 0 $((L2_MASK_0 + 3)))"
refused "abi-169 exclusive needs all four for itself" EINVAL "Schemata overlaps" $M/p0/mode exclusive
umount_resctrl
is "abi-16 everything is off and at its default" "0 0 $L3_MASK $L2_MASK" \
	"$(switches) $(msr_range 0 $L3_MASK_0 "$L3_CLOSIDS") $(msr_range 0 $L2_MASK_0 "$L2_CLOSIDS")"
finish
