#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# NVIDIA's T241: limits take effect in every slice, what is moved stays below them, and is counted in bytes.
# needs: t241 l3.cat mb mbm_total_bytes l3.domains=1 cpus>=2
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

if [ "$IMPL" = rust ]; then
	like "abi-287 the log says that it is worked around" \
		"*Enabled workaround for NVIDIA T241 erratum T241-MPAM-1*" "$(grep T241 /run/dmesg)"
fi
mount_resctrl debug >/dev/null
mkdir $M/p1
partid=$(cat $M/p1/ctrl_hw_id)
full=$(holds mbw_max 0 0)
is "abi-287 without a limit there is none in any slice" "ff00 ff00" "$full $(holds mbw_max 0 "$partid")"
for percent in 50 10 1 75; do
	accepted "a limit of $percent percent" $M/p1/schemata "MB:0=$percent"
	is "abi-287 is in effect in every slice" "$(limit $percent)" "$(holds mbw_max 0 "$partid")"
done
is "abi-287 of that group alone" ff00 "$(holds mbw_max 0 0)"
is "abi-288 its minimum is never 0" yes "$([ "$(holds mbw_min 0 "$partid")" != 0 ] && echo yes)"

# 1 GiB a second, if nothing held it up.
GIB=$((1 << 30))
counter=$M/p1/mon_data/mon_L3_00/mbm_total_bytes
echo 1 >$M/p1/cpus_list
[ "$(within 2 "$(cat $M/p1/mon_hw_id) $partid" rdt-traffic assoc 1)" = "$(cat $M/p1/mon_hw_id) $partid" ]
rdt-traffic flow 1 1G 0 0
# moved: bytes a second that the group's counter shows, in percent of 1 GiB.
moved() {
	begin_time=$(hundredths)
	begin=$(cat "$counter")
	sleep 2
	end=$(cat "$counter")
	end_time=$(hundredths)
	echo $(((end - begin) / ((end_time - begin_time) * (GIB / 10000))))
}
accepted "all of it" $M/p1/schemata "MB:0=100"
between "abi-288 without a limit nearly all is moved, in bytes" 85 105 "$(moved)"
accepted "half of it" $M/p1/schemata "MB:0=50"
between "abi-287 with a limit of half, at least nine tenths of that" 40 55 "$(moved)"
accepted "a tenth of it" $M/p1/schemata "MB:0=10"
between "abi-288 with a small limit still something" 4 12 "$(moved)"
umount_resctrl
is "abi-16 unmounting lifts every limit in every slice" ff00 "$(holds_everywhere mbw_max 0)"
finish
