#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# rdt= turns features off.
# needs: intel l3.cat mb llc_occupancy mbm_total_bytes mbm_local_bytes !l2.cat !telemetry
# machines: intel
# append: rdt=!l3cat,!mbmlocal,,unknown,!Cmt
# parameters: rdt=!l3cat,!mbmlocal,,unknown,!Cmt
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "abi-221 L3 is off, the rest is there" "L3_MON MB last_cmd_status" "$(ls $M/info | xargs)"
is "abi-221 no word about it in the log" "" "$(grep 'resctrl: L3 allocation' /run/dmesg)"
is "abi-221 one of the counters is off; capitals are no name of another" "llc_occupancy mbm_total_bytes" \
	"$(xargs <$M/info/L3_MON/mon_features)"
is "abi-221 schemata has MB alone" MB "$(cut -d: -f1 $M/schemata | xargs)"
mkdir $M/p0
refused "abi-436 nothing can be a group's own" EINVAL "Cannot be exclusive without CAT/CDP" $M/p0/mode exclusive
umount_resctrl
is "abi-6 cdp goes with L3" EINVAL "$(mount_resctrl cdp)"
is "abi-9 the controller works with the other counter" ok "$(mount_resctrl mba_MBps)"
is "abi-163 which is its event" mbm_total_bytes "$(cat $M/mba_MBps_event)"
umount_resctrl
finish
