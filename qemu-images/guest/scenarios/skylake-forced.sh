#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# On Skylake servers rdt= brings back what does not work well, and bandwidth counts of the upper RMIDs are corrected.
# machines: intel-skylake
# append: rdt=l3cat,cmt,mbmtotal,mbmlocal
# parameters: rdt=l3cat,cmt,mbmtotal,mbmlocal
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl debug)"
is "abi-223 L3 is there when asked for" "L3 L3_MON MB last_cmd_status" "$(ls $M/info | xargs)"
is "abi-57 all events" "$(events)" "$(xargs <$M/info/L3_MON/mon_features)"
is "abi-59 all monitoring ids" "$RMIDS" "$(cat $M/info/L3_MON/num_rmids)"
made=1
while [ $made -lt "$RMIDS" ]; do
	mkdir $M/mon_groups/g$made
	made=$((made + 1))
done
is "every id is used" "$RMIDS" "$(cat $M/mon_hw_id $M/mon_groups/*/mon_hw_id | sort -u | wc -l)"
# 1.185255 in units of 2^-20, rounded to the nearest.
factor=1242830
steps=100000
for rmid in 1 127 128 143; do
	group=$(grep -lx $rmid $M/mon_groups/*/mon_hw_id)
	group=${group%/mon_hw_id}
	[ $rmid -le 127 ] && expected=$((steps * MON_UNIT)) || expected=$((((steps * factor) >> 20) * MON_UNIT))
	rdt-traffic add 1 $rmid mbm_total_bytes $((steps * MON_UNIT))
	is "abi-223 total bandwidth of RMID $rmid" $expected "$(cat "$group/mon_data/mon_L3_01/mbm_total_bytes")"
	rdt-traffic add 1 $rmid mbm_local_bytes $((steps * MON_UNIT))
	is "abi-223 local bandwidth of RMID $rmid" $expected "$(cat "$group/mon_data/mon_L3_01/mbm_local_bytes")"
	rdt-traffic occupancy 1 $rmid $((10 * MON_UNIT))
	is "occupancy of RMID $rmid is as it is" $((10 * MON_UNIT)) "$(cat "$group/mon_data/mon_L3_01/llc_occupancy")"
done
umount_resctrl
finish
