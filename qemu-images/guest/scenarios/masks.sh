#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Which masks a cache takes: how many bits, holes, and what the hardware is asked to hold.
# needs: intel l3.cat l3.bits>=9 l3.closids<=100
# machines: intel intel-noncont intel-haswell intel-cdp
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh
mount_resctrl >/dev/null
mkdir $M/p0
S=$M/p0/schemata

# masks CACHE FULL MIN SPARSE CLOSIDS FIRST_REGISTER
masks() {
	first=$(domains "$1" | head -n 1)
	try="$1:$first"
	is "abi-37 cbm_mask of $1" "$2" "$(cat $M/info/"$1"/cbm_mask)"
	is "abi-38 min_cbm_bits of $1" "$3" "$(cat $M/info/"$1"/min_cbm_bits)"
	is "abi-39 sparse_masks of $1" "$4" "$(cat $M/info/"$1"/sparse_masks)"
	is "abi-36 num_closids of $1" "$5" "$(cat $M/info/"$1"/num_closids)"
	refused "abi-147 no bit in $1" EINVAL "Mask out of range" $S "$try=0"
	refused "abi-148 a bit too many in $1" EINVAL "Mask out of range" $S "$try=1$2"
	if [ "$3" -gt 1 ]; then
		refused "abi-150 too few bits in $1" EINVAL "Need at least $3 bits in the mask" $S "$try=4"
	else
		accepted "abi-150 one bit in $1" $S "$try=4"
	fi
	accepted "abi-150 the fewest bits in $1" $S "$try=$(printf %x $((((1 << $3) - 1) << 4)))"
	is "abi-216 and the register has them" "$(printf %x $((((1 << $3) - 1) << 4)))" "$(msr_of 0 $(($6 + 1)))"
	if [ "$4" = 1 ]; then
		accepted "abi-149 a hole in $1" $S "$try=105"
		is "abi-149 and the register has it" 105 "$(msr_of 0 $(($6 + 1)))"
		is "abi-149 it reads back with the hole" 105 "$(value "$1" "$first" p0)"
	else
		refused "abi-149 a hole in $1" EINVAL "The mask 105 has non-consecutive 1-bits" $S "$try=105"
		refused "abi-149 a hole of one bit in $1" EINVAL "The mask 1b has non-consecutive 1-bits" $S "$try=1b"
	fi
	accepted "abi-151 all bits in $1" $S "$try=0x$2"
}
if [ -n "$L2_MASK" ]; then
	masks L2 "$L2_MASK" "$L2_MIN_BITS" "$L2_SPARSE" "$L2_CLOSIDS" "$L2_MASK_0"
fi
masks L3 "$L3_MASK" "$L3_MIN_BITS" "$L3_SPARSE" "$L3_CLOSIDS" "$L3_MASK_0"
rmdir $M/p0

limit=$L3_CLOSIDS
for closids in $L2_CLOSIDS $MB_CLOSIDS; do
	[ "$closids" -lt "$limit" ] && limit=$closids
done
made=0
while [ $made -lt 100 ] && [ "$(Ws mkdir $M/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-120 the smallest number of classes counts" $((limit - 1)) $made
rmdir $M/g*
is "the hardware has refused nothing" 0 "$(rdt-traffic writes refused)"

umount_resctrl
finish
