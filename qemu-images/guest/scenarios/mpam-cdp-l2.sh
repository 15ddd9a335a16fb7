#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Code and data apart in one cache, emulated with two PARTIDs a group: the other cache has the same for both.
# needs: mpam l3.cat l2.cat partids>=4
# parameters: expert=1
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

is "it mounts with cdp" ok "$(mount_resctrl cdp)"
is "abi-46 the L3 is code and data, the L2 is one" "L2 L3CODE L3DATA" "$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
mkdir $M/p0
accepted "portions of an L2" $M/p0/schemata "L2:$L2_FIRST_ID=3"
is "abi-226 are those of data and code" "0x3 0x3 0xff" \
	"$(msc control 1 0 2 cpbm) $(msc control 1 0 3 cpbm) $(msc control 1 0 0 cpbm)"
accepted "portions of the L3" $M/p0/schemata "L3DATA:$L3_FIRST_ID=f
L3CODE:$L3_FIRST_ID=f0"
is "abi-216 are not" "0xf 0xf0" "$(msc control 0 0 2 cpbm) $(msc control 0 0 3 cpbm)"
umount_resctrl
is "abi-16 unmounting puts all back" "0xff 0xff 0xfffff 0xfffff" \
	"$(msc control 1 0 2 cpbm) $(msc control 1 0 3 cpbm) $(msc control 0 0 2 cpbm) $(msc control 0 0 3 cpbm)"
finish
