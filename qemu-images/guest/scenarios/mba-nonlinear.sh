#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Bandwidth delays that are no percentages are not used, and nothing else suffers.
# needs: mb.nonlinear l3.cat l3.min_bits<=1 l3.closids<=100 monitoring !l2.cat !telemetry
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

like "abi-44 the log says why there is no MB" "*MBA b/w map not implemented for cpu:6, model:*" "$(grep 'MBA b/w' /run/dmesg)"
is "abi-8 the bandwidth controller is refused" EINVAL "$(mount_resctrl mba_MBps)"
is "it mounts without" ok "$(mount_resctrl)"
is "abi-37 there is no MB in info" "L3 L3_MON last_cmd_status" "$(ls $M/info | xargs)"
is "abi-136 nor in schemata" L3 "$(cut -d: -f1 $M/schemata | xargs)"
mkdir $M/p0
refused "abi-143 its name is unknown" EINVAL "Unknown or unsupported resource name 'MB'" $M/p0/schemata "MB:0=50"
accepted "L3 is controlled" $M/p0/schemata "L3:0=3"
is "abi-57 and monitored" "$(events)" "$(xargs <$M/info/L3_MON/mon_features)"
is "no delay was ever written" 0 "$(rdt-traffic writes mba)"
made=0
while [ $made -lt 100 ] && [ "$(Ws mkdir $M/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-120 its classes do not limit the groups" $((L3_CLOSIDS - 2)) $made
umount_resctrl
finish
