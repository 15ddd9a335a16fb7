#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Machines of which a part cannot be used: the rest works.
# machines: mpam-broken-off mpam-broken-partids mpam-broken-widths
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

is "it mounts" ok "$(mount_resctrl)"
like "the ids are those that all parts know" "*MPAM enabled with $PARTIDS PARTIDs and $PMGS PMGs*" \
	"$(grep 'MPAM enabled' /run/dmesg)"
case $MACHINE in
mpam-broken-off)
	is "memory's bandwidth cannot be limited" "L3 L3_MON" "$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
	accepted "the L3 can be partitioned" $M/schemata "L3:0=f"
	;;
mpam-broken-partids)
	is "as many classes as memory knows" 6 "$(cat $M/info/L3/num_closids)"
	is "as many monitoring ids" 12 "$(cat $M/info/L3_MON/num_rmids)"
	made=0
	while [ $made -lt 100 ] && [ "$(Ws mkdir $M/g$made)" = ok ]; do made=$((made + 1)); done
	is "and as many groups" 5 $made
	rmdir $M/g*
	;;
mpam-broken-widths)
	is "portions cannot be used, occupancy can" "L3_MON" "$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
	refused "there is nothing to write" EINVAL "Unknown or unsupported resource name 'L3'" $M/schemata "L3:0=f"
	is "no control group can be made" EPERM "$(Ws mkdir $M/p0)"
	is "a monitoring group can" ok "$(Ws mkdir $M/mon_groups/m0)"
	;;
esac
rdt-traffic occupancy 0 0/0 1M
is "occupancy is counted" 1048576 "$(cat $M/mon_data/mon_L3_00/llc_occupancy)"
rdt-traffic occupancy 0 0/0 0
umount_resctrl
finish
