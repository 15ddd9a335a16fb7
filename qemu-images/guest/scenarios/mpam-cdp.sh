#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Code and data prioritization, emulated with two PARTIDs a group; bandwidth control is gone meanwhile.
# needs: mpam l3.cat mb llc_occupancy !l2.cat l3.first_id=0 partids>=4 partids<=200
# machines: mpam mpam-2l3 mpam-narrow mpam-split
# parameters: expert=1
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

is "it mounts with cdp" ok "$(mount_resctrl cdp,debug)"
is "abi-46 L3CODE and L3DATA replace L3, and abi-226 MB is gone" "L3CODE L3DATA L3_MON" \
	"$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
is "abi-36 num_closids is halved" "$((PARTIDS / 2)) $((PARTIDS / 2))" \
	"$(cat $M/info/L3CODE/num_closids $M/info/L3DATA/num_closids | xargs)"
is "abi-226 and so is num_rmids" $((PARTIDS / 2 * PMGS)) "$(cat $M/info/L3_MON/num_rmids)"
is "abi-136 order of the lines" "L3DATA L3CODE" "$(cut -d: -f1 $M/schemata | xargs)"
mkdir $M/p0
# Which class a group gets depends on what is in limbo.
data=$((2 * $(cat $M/p0/ctrl_hw_id)))
code=$((data + 1))
accepted "abi-155 code and data may overlap" $M/p0/schemata "L3CODE:0=f
L3DATA:0=3"
refused "L3 is no name now" EINVAL "Unknown or unsupported resource name 'L3'" $M/p0/schemata "L3:0=f"
refused "nor is MB" EINVAL "Unknown or unsupported resource name 'MB'" $M/p0/schemata "MB:0=50"
is "abi-216 data has an even PARTID, code the next" "3 f" "$(holds cpbm 0 $data) $(holds cpbm 0 $code)"
pmg=$(cat $M/p0/mon_hw_id)
rdt-traffic occupancy 0 $data/"$pmg" 1M
rdt-traffic occupancy 0 $code/"$pmg" 2M
is "occupancy is that of code and data" $((3 << 20)) "$(cat $M/p0/mon_data/mon_L3_00/llc_occupancy)"
rdt-traffic occupancy 0 $data/"$pmg" 0
rdt-traffic occupancy 0 $code/"$pmg" 0
resctrl-sys spin 1 60 &
spinner=$!
echo $spinner >$M/p0/tasks
is "a task has the PARTID of data" "$pmg $data" "$(within 2 "$pmg $data" rdt-traffic assoc 1)"
tasks="abi-226 a monitoring group has its tasks, which run with its PMG"
if [ "$IMPL" = kernel ]; then
	# It crashes now and then.
	fail "$tasks" "not tried"
else
	mkdir $M/p0/mon_groups/m
	echo $spinner >$M/p0/mon_groups/m/tasks
	own="$(cat $M/p0/mon_groups/m/mon_hw_id) $data"
	is "$tasks" "$spinner $own" "$(cat $M/p0/mon_groups/m/tasks) $(within 2 "$own" rdt-traffic assoc 1)"
	rmdir $M/p0/mon_groups/m
fi
mkdir $M/p1
echo 1 >$M/p1/cpus_list
echo $spinner >$M/tasks
own="$(cat $M/p1/mon_hw_id) $((2 * $(cat $M/p1/ctrl_hw_id)))"
is "a CPU's group has its own PARTID, too" "$own" "$(within 2 "$own" rdt-traffic assoc 1)"
rmdir $M/p1
made=0
while [ $made -lt 100 ] && [ "$(Ws mkdir $M/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-120 groups until classes of service run out" $((PARTIDS / 2 - 2)) $made
kill $spinner
wait $spinner 2>/dev/null
umount_resctrl
is "abi-16 every mask is back at its default" "$L3_MASK" "$(holds_everywhere cpbm 0)"
sleep 2.5
is "it mounts without" ok "$(mount_resctrl)"
is "abi-226 MB is back" "L3 L3_MON MB" "$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
is "with all classes" "$PARTIDS" "$(cat $M/info/L3/num_closids)"
umount_resctrl
finish
