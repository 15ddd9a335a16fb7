#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Percentages of bandwidth and fractions of so many bits: rounded to the nearest, and stable.
# needs: mpam mb l3.first_id=0
# machines: mpam mpam-2l3 mpam-narrow mpam-no-monitors mpam-t241 mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

mount_resctrl debug >/dev/null
mkdir $M/p0
# Not 1, if a scenario before this one has left ids of that in limbo.
partid=$(cat $M/p0/ctrl_hw_id)
is "abi-233 min_bandwidth is one part, to the nearest percent" "$MB_MIN" "$(cat $M/info/MB/min_bandwidth)"
is "abi-233 bandwidth_gran is one part, rounded up" "$MB_STEP" "$(cat $M/info/MB/bandwidth_gran)"
is "abi-44 delay_linear" 1 "$(cat $M/info/MB/delay_linear)"
is "abi-45 there is no thread_throttle_mode" ENOENT "$(R $M/info/MB/thread_throttle_mode)"

wrong=
unstable=
# The percentages of the kernel's own unit tests, and the ends.
for percent in $MB_MIN 1 25 33 35 45 50 52 55 58 75 80 88 95 99 100; do
	[ "$percent" -ge "$MB_MIN" ] || continue
	[ "$(Wn $M/p0/schemata "MB:0=$percent")" = ok ] || wrong="$wrong $percent:refused"
	value=$(holds mbw_max 0 "$partid")
	[ "$value" = "$(limit "$percent")" ] || wrong="$wrong $percent:$value"
	shown=$(value MB 0 p0)
	[ "$shown" = "$(percent "$value")" ] || wrong="$wrong $percent:shown-as-$shown"
	if [ "$MB_BITS" -ge 7 ] && [ "$shown" != $percent ] && [ $percent -gt 0 ]; then
		unstable="$unstable $percent:$shown"
	fi
done
is "percentages become the nearest values, and are shown as what those are" "" "$wrong"
is "with seven bits or more they stay what they were" "" "$unstable"
accepted "all" $M/p0/schemata "MB:0=100"
is "abi-162 all of it stays all" 100 "$(value MB 0 p0)"
refused "abi-157 more than all" EINVAL "MB value 101 out of range [$MB_MIN,100]" $M/p0/schemata "MB:0=101"
umount_resctrl
finish
