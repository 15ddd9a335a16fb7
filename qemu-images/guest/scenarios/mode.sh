#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Modes: what exclusive needs, what it protects, and what new groups get beside it.
# needs: l3.cat l3.bits>=12 l3.min_bits<=1 l3.shared l3.closids>=4 l3.first_id=0 !l2.cat !pseudo_lock !sdciae
# machines: intel intel-big amd mpam mpam-2l3 mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
all() {
	# a line giving every domain mask $1
	echo "L3:$(seq 0 $((L3_DOMAINS - 1)) | sed "s/\$/=$1/" | xargs | tr ' ' ';')"
}
mkdir $M/p0 $M/p1
is "a new group is shareable" shareable "$(cat $M/p0/mode)"
accepted "abi-173 writing the current mode" $M/p0/mode shareable
refused "abi-169 exclusive while overlapping" EINVAL "Schemata overlaps" $M/p0/mode exclusive
for mode in pseudo-locked bogus ""; do
	refused "abi-172 mode '$mode'" EINVAL "Unknown or unsupported mode" $M/p0/mode "$mode"
done
case $ARCH in
arm64) locksetup="Unknown or unsupported mode" ;;
*) locksetup="Pseudo-locking not supported" ;;
esac
refused "abi-176 pseudo-locking" EINVAL "$locksetup" $M/p0/mode pseudo-locksetup
if [ "$L3_SHAREABLE" = "$L3_MASK" ]; then
	# On Arm every bit may be used by other requestors than CPUs.
	accepted "p0 has bits of its own" $M/p0/schemata "$(all 1)"
	accepted "root leaves them" $M/schemata "$(all f0)"
	accepted "so does p1" $M/p1/schemata "$(all f0)"
	refused "abi-174 exclusive fails where all bits are shareable" EINVAL "Schemata overlaps" $M/p0/mode exclusive
	is "abi-174 the mode stays" shareable "$(cat $M/p0/mode)"
	umount_resctrl
	finish
fi
accepted "root leaves bits" $M/schemata "$(all f0)"
accepted "p1 leaves bits" $M/p1/schemata "$(all f0)"
accepted "p0 takes others" $M/p0/schemata "$(all f)"
accepted "abi-170 exclusive succeeds" $M/p0/mode exclusive
is "abi-170 and reads back" exclusive "$(cat $M/p0/mode)"
like "abi-42 bit_usage shows E" "*SSSSEEEE" "$(tr ';' '\n' <$M/info/L3/bit_usage | sed -n 's/^0=//p')"
refused "abi-152 another group may not overlap it" EINVAL "Overlaps with exclusive group" $M/p1/schemata "L3:0=18"
refused "abi-153 it may not widen into another" EINVAL "Overlaps with other group" $M/p0/schemata "L3:0=1f"
mkdir $M/p2
is "abi-123 a new group gets none of its bits" "" "$(printf '%x' $((0x$(value L3 0 p2) & 0xf)) | tr -d 0)"
accepted "it may narrow" $M/p0/schemata "$(all 3)"
accepted "the default group can be exclusive or not" $M/p0/mode shareable
rmdir $M/p2

# Bits that devices share can never be exclusive.
accepted "p0 takes a shared bit" $M/p0/schemata "L3:0=$(printf '%x' $((0x$L3_SHAREABLE)))"
refused "abi-175 exclusive over shareable bits" EINVAL "Schemata overlaps" $M/p0/mode exclusive
accepted "p0 leaves the shared bits" $M/p0/schemata "$(all f)"
accepted "p0 is exclusive again" $M/p0/mode exclusive
refused "abi-175 an exclusive group may not take shareable bits" EINVAL "Overlaps with other group" \
	$M/p0/schemata "L3:0=$(printf '%x' $((0x$L3_SHAREABLE)))"
umount_resctrl
finish
