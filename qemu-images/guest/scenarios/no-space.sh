#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# All of a cache is others' own: no group can be made, the status says where, and what it had been given is given back.
# needs: x86 l2.cat l3.cat l3.bits=12 !l3.shared l2.bits>=12 l2.domains=2 l3.domains=1 l3.first_id=0 l2.closids<=100
# machines: intel-cdp
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0
accepted "some of the L3 is root's" $M/schemata "L3:0=f"
accepted "and of each L2" $M/schemata "L2:0=f;1=f"
accepted "the rest is a group's" $M/p0/schemata "L3:0=ff0"
accepted "but of each L2, where some is nobody's" $M/p0/schemata "L2:0=f0;1=f0"
accepted "the group has it to itself" $M/p0/mode exclusive
accepted "and root its own" $M/mode exclusive
is "abi-434 a group that has no room anywhere cannot be made" ENOSPC "$(errno mkdir $M/p1)"
is "abi-434 the status says where there is none" "No space on L3:0" "$(lcs)"
is "abi-434 nothing is left of it" no "$([ -e $M/p1 ] || echo no)"
# Each attempt takes a class of service for a moment.
attempts=$((L2_CLOSIDS + L3_CLOSIDS))
while [ $attempts -gt 0 ] && [ "$(errno mkdir $M/p1)" = ENOSPC ]; do
	attempts=$((attempts - 1))
done
is "abi-434 however often it is tried" 0 $attempts
accepted "root shares" $M/mode shareable
is "abi-434 then there is a class for it" ok "$(errno mkdir $M/p1)"
is "abi-434 with what is shared" "L3:0=f" "$(sed -n 's/^ *L3:/L3:/p' $M/p1/schemata)"
umount_resctrl
finish
