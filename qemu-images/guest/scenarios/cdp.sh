#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Code and data prioritization: names, limits, sharing between code and data.
# needs: x86 l3.cdp l3.bits>=12 l3.domains=2 cpus=4 mb monitoring !l2.cat
# machines: intel amd
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh

closids=$L3_CLOSIDS
is "it mounts with cdp" ok "$(mount_resctrl cdp)"
is "abi-46 L3CODE and L3DATA replace L3" "L3CODE L3DATA L3_MON MB${SMBA_CLOSIDS:+ SMBA}" "$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
is "abi-36 num_closids is halved" "$((closids / 2)) $((closids / 2))" \
	"$(cat $M/info/L3CODE/num_closids $M/info/L3DATA/num_closids | xargs)"
is "abi-136 order of the lines" "${SMBA_CLOSIDS:+SMBA }MB L3DATA L3CODE" "$(cut -d: -f1 $M/schemata | xargs)"
mkdir $M/p0
accepted "abi-155 code and data may overlap" $M/p0/schemata "L3CODE:0=f
L3DATA:0=3"
refused "L3 is no name now" EINVAL "Unknown or unsupported resource name 'L3'" $M/p0/schemata "L3:0=f"
is "abi-216 the data half is programmed at 2c" 3 "$(msr_of 0 $((L3_MASK_0 + 2)))"
is "abi-216 the code half is programmed at 2c+1" f "$(msr_of 0 $((L3_MASK_0 + 3)))"
is "abi-216 CDP is enabled in every domain" "1 1" "$(msr_of 0 $L3_QOS_CFG) $(msr_of 1 $L3_QOS_CFG)"

mkdir $M/p1
accepted "separate p0" $M/p0/schemata "L3CODE:0=f;1=f
L3DATA:0=f0;1=f0"
accepted "separate p1" $M/p1/schemata "L3CODE:0=100;1=100
L3DATA:0=100;1=100"
accepted "separate root" $M/schemata "L3CODE:0=200;1=200
L3DATA:0=200;1=200"
accepted "p0 becomes exclusive" $M/p0/mode exclusive
refused "abi-154 code may not overlap an exclusive group's data" EINVAL "Overlaps with exclusive group" \
	$M/p1/schemata "L3CODE:0=10"
like "abi-42 the exclusive group's bits are E" "*EEEE" "$(sed 's/;.*//' $M/info/L3CODE/bit_usage)"
umount_resctrl
is "CDP is off after unmounting" "0 0" "$(msr_of 0 $L3_QOS_CFG) $(msr_of 1 $L3_QOS_CFG)"
is "abi-16 every mask is back at its default" "$L3_MASK $L3_MASK" \
	"$(msr_range 0 $L3_MASK_0 "$closids") $(msr_range 1 $L3_MASK_0 "$closids")"

if [ "$VENDOR" = amd ]; then
	offline 1
	mount_resctrl cdp >/dev/null
	# The kernel cannot read a register of a CPU that is offline.
	is "abi-217 CDP is enabled on every CPU" "1 1 1" "$(for cpu in 0 2 3; do msr read $cpu $L3_QOS_CFG | cut -c 3-; done | xargs)"
	online 1
	is "abi-217 and on one that comes later" 1 "$(msr read 1 $L3_QOS_CFG | cut -c 3-)"
	umount_resctrl
	is "abi-217 unmounting turns it off on every CPU" "0 0 0 0" "$(msr_of_cpus $L3_QOS_CFG)"
fi
finish
