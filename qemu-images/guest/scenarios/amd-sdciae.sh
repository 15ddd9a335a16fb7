#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# AMD: devices fill the L3 through a class of service of their own (SDCIAE, io_alloc).
# needs: sdciae l2.cat l3.cdp l3.bits=16 l3.closids<=100 l3.domains=2 cpus=4
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh

mount_resctrl >/dev/null
IO=$M/info/L3/io_alloc
C=$M/info/L3/io_alloc_cbm
highest=$((L3_CLOSIDS - 1))
l3() {
	msr_of "$1" $((L3_MASK_0 + $2))
}
bits() {
	# usage of domain $1, as letters
	tr ';' '\n' <$M/info/L3/bit_usage | sed -n "s/^$1=//p"
}
is "modes of the files" "644 644" "$(stat -c %a $IO $C | xargs)"
is "abi-47 off after boot, and not for the L2" "disabled, not supported" "$(cat $IO), $(cat $M/info/L2/io_alloc)"
refused "abi-47 the L2 cannot" ENODEV "io_alloc is not supported on L2" $M/info/L2/io_alloc 1
is "abi-47 nor has it a mask for devices" "ENODEV, io_alloc is not supported on L2" "$(R $M/info/L2/io_alloc_cbm), $(lcs)"
refused "abi-48 neither yes nor no" EINVAL "io_alloc: Invalid input" $IO x
is "abi-52 a mask of what is off" "EINVAL, io_alloc is not enabled on L3" "$(R $C), $(lcs)"
refused "abi-52 nor can it be written" EINVAL "io_alloc is not enabled on L3" $C "0=1"

limit=0
while [ $limit -lt 100 ] && [ "$(Ws mkdir $M/g$limit)" = ok ]; do limit=$((limit + 1)); done
is "groups until classes run out" $highest $limit
refused "abi-50 the highest class belongs to a group" ENOSPC \
	"CLOSID (ctrl_hw_id) $highest for io_alloc is used by g$((highest - 1)) group" $IO 1
is "abi-50 it stays off" "disabled, 0 0 0 0" "$(cat $IO), $(msr_of_cpus $L3_QOS_EXT_CFG)"
rmdir $M/g*

is "abi-49 enable" ok "$(W $IO enable)"
is "abi-49 on, on every CPU" "enabled, 2 2 2 2" "$(cat $IO), $(msr_of_cpus $L3_QOS_EXT_CFG)"
is "abi-49 again" ok "$(W $IO 1)"
is "abi-49 off" ok "$(W $IO off)"
is "abi-49 off on every CPU" "disabled, 0 0 0 0" "$(cat $IO), $(msr_of_cpus $L3_QOS_EXT_CFG)"
is "abi-49 1" ok "$(W $IO 1)"
is "abi-55 devices begin with all, unpadded" "0=$L3_MASK;1=$L3_MASK" "$(cat $C)"
limit=0
while [ $limit -lt 100 ] && [ "$(Ws mkdir $M/g$limit)" = ok ]; do limit=$((limit + 1)); done
is "abi-51 one class fewer is left for groups" $((highest - 1)) $limit
rmdir $M/g*

accepted "abi-53 all domains" $C "*=f"
is "abi-53 read back, unpadded" "0=f;1=f" "$(cat $C)"
is "abi-53 in the registers of the highest class" "f f" "$(l3 0 $highest) $(l3 1 $highest)"
refused "abi-53 nothing may follow all domains" EINVAL "Configurations after global '*'" $C "*=3;0=1"
is "abi-53 which changes nothing" "0=f;1=f" "$(cat $C)"
accepted "abi-53 one domain" $C "1=f0"
is "abi-53 the other stays" "0=f;1=f0" "$(cat $C)"
refused "abi-54 an unknown domain" EINVAL "Invalid domain 99" $C "99=1"
refused "abi-54 no domain" EINVAL "Missing '=' or non-numeric domain" $C "x=1"
refused "abi-148 no mask" EINVAL "Non-hex character in the mask zz" $C "0=zz"
refused "abi-148 a mask that is too large" EINVAL "Mask out of range" $C "0=1$L3_MASK"
is "no newline" "EINVAL, io_alloc_cbm: Invalid input" "$(W $C 0=1), $(lcs)"
refused "the first is not written when the second is wrong" EINVAL "Mask out of range" $C "0=1;1=1$L3_MASK"
is "none of them changed anything" "0=f;1=f0" "$(cat $C)"

# Root gives up all but two bits: what devices use, others than CPUs use.
accepted "root takes few" $M/schemata "L3:0=11;1=11"
is "abi-41 bits of devices in domain 0" "H0000000000SHHHX" "$(bits 0)"
is "abi-41 bits of devices in domain 1" "H0000000HHHX000S" "$(bits 1)"
mkdir $M/x
l2() {
	# a line giving every L2 mask $1
	echo "L2:$(domains L2 | sed "s/\$/=$1/" | xargs | tr ' ' ';')"
}
accepted "and leaves part of the L2s" $M/schemata "$(l2 f0)"
accepted "a group takes others" $M/x/schemata "L3:0=f00;1=f00
$(l2 f)"
accepted "it can be exclusive, as devices do not use the L2s" $M/x/mode exclusive
Wn $M/x/mode shareable >/dev/null
is "off for a moment" ok "$(W $IO 0)"
accepted "it is exclusive before devices get their class" $M/x/mode exclusive
is "on again" ok "$(W $IO 1)"
is "abi-123 devices get none of its bits" "0 0" \
	"$(tr ';' '\n' <$C | cut -d= -f2 | while read -r mask; do echo $((0x$mask & 0xf00)); done | xargs)"
refused "abi-152 devices may not overlap it" EINVAL "Overlaps with exclusive group" $C "0=100"
rmdir $M/x
accepted "root takes all again" $M/schemata "L3:0=$L3_MASK;1=$L3_MASK
$(l2 "$L2_MASK")"

# A CPU that comes while devices have their class.
is "off for a moment" ok "$(W $IO 0)"
offline 1
is "on while a CPU is away" ok "$(W $IO 1)"
online 1
is "hazard B9: it is on for a CPU that comes later, too" "2 2 2 2" "$(msr_of_cpus $L3_QOS_EXT_CFG)"
umount_resctrl
is "hazard B1: unmounting turns it off" "0 0 0 0" "$(msr_of_cpus $L3_QOS_EXT_CFG)"
mount_resctrl >/dev/null
is "hazard B1: so that it is off in the next mount" disabled "$(cat $IO)"
W $IO 0 >/dev/null
umount_resctrl

is "it mounts with cdp" ok "$(mount_resctrl cdp)"
highest=$((L3_CLOSIDS / 2 - 1))
is "abi-56 on for code" ok "$(W $M/info/L3CODE/io_alloc 1)"
is "abi-56 is on for data" "enabled enabled" "$(cat $M/info/L3CODE/io_alloc $M/info/L3DATA/io_alloc | xargs)"
accepted "abi-56 a mask by data's file" $M/info/L3DATA/io_alloc_cbm "0=3;1=30"
is "abi-56 is both files'" "0=3;1=30 0=3;1=30" "$(cat $M/info/L3CODE/io_alloc_cbm $M/info/L3DATA/io_alloc_cbm | xargs)"
is "abi-56 in both registers" "3 3 30 30" "$(l3 0 $((2 * highest))) $(l3 0 $((2 * highest + 1))) \
$(l3 1 $((2 * highest))) $(l3 1 $((2 * highest + 1)))"
is "abi-56 off for data" ok "$(W $M/info/L3DATA/io_alloc 0)"
is "abi-56 is off for code" disabled "$(cat $M/info/L3CODE/io_alloc)"
umount_resctrl
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
finish
