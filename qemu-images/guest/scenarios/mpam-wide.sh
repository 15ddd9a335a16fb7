#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Controls that resctrl has no file for hold nobody up, whoever used the machine before; and what goes without cache portions.
# needs: mpam mb mbm_total_bytes !llc_occupancy !l3.cat !l2.cat cpus=4 l3.domains=2
# guest: own

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

# all CONTROL MSC RIS: the different values of all PARTIDs.
all() {
	for partid in $(seq 0 $((PARTIDS - 1))); do msc control "$2" "$3" "$partid" "$1"; done | sort -u | xargs
}
mount_resctrl debug >/dev/null
is "no more than bandwidth is shown" "L3_MON MB" "$(cd $M/info && ls -d */ | tr -d / | sort | xargs)"
is "the narrower of two limits counts" "$MB_MIN $MB_STEP" "$(cat $M/info/MB/min_bandwidth $M/info/MB/bandwidth_gran | xargs)"
is "nobody's lines are limited" "0xffff 0xff00, 0xfff0 0xfc00" \
	"$(all cmax 0 0) $(all cassoc 0 0), $(all cmax 1 0) $(all cassoc 1 0)"
is "nor portions of bandwidth" "0xffffffff 0xffff" "$(all mbw_pbm 0 0) $(all mbw_pbm 1 0)"
is "nobody has lines that nobody else may have" 0x0 "$(all cmin 0 0)"
is "nobody's bandwidth is guaranteed or in proportion" "0x0 0x0" "$(all mbw_min 0 0) $(all mbw_prop 0 0)"
is "everybody is of the highest priority" "0xf 0x70000" "$(all pri 0 0) $(all pri 1 0)"

mkdir $M/p0
partid=$(cat $M/p0/ctrl_hw_id)
accepted "limits" $M/p0/schemata "MB:0=50;1=20"
is "abi-216 are programmed" "$(limit 50) $(limit 20)" "$(holds mbw_max 0 "$partid") $(holds mbw_max 1 "$partid")"
refused "abi-171 without cache portions no group is exclusive" EINVAL "Cannot be exclusive without CAT/CDP" $M/p0/mode exclusive
refused "there are none" EINVAL "Unknown or unsupported resource name 'L3'" $M/p0/schemata "L3:0=1"
mkdir $M/p0/mon_groups/m
id=$(cat $M/p0/mon_groups/m/mon_hw_id)
rmdir $M/p0/mon_groups/m
mkdir $M/p0/mon_groups/a $M/p0/mon_groups/b $M/p0/mon_groups/c
is "an id whose lines nobody counts is free at once" yes "$(grep -qx "$id" $M/p0/mon_groups/*/mon_hw_id && echo yes)"

# An error: one component has an interrupt to tell of it, another has none to be turned off.
msc request 0 0 $((PARTIDS + 20)) 0 64
is "abi-232 after an error the file system type is gone" "" "$(within 5 "" grep -w resctrl /proc/filesystems)"
is "abi-232 and every limit" "$(printf 'ffc0 ff00')" "$(holds_everywhere mbw_max 0) $(holds_everywhere mbw_max 1)"
umount_resctrl
finish
