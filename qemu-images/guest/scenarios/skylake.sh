#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Skylake servers announce more than works: without rdt= there is no L3 allocation and no monitoring.
# needs: errata mb !monitoring
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "abi-223 bandwidth can be controlled, and nothing else" "MB last_cmd_status" "$(ls $M/info | xargs)"
is "abi-223 there is nothing to monitor" "no no" \
	"$(for name in mon_data mon_groups; do [ -e $M/$name ] && echo yes || echo no; done | xargs)"
mkdir $M/p0
accepted "bandwidth" $M/p0/schemata "MB:0=50"
refused "abi-223 L3 is unknown" EINVAL "Unknown or unsupported resource name 'L3'" $M/p0/schemata "L3:0=f"
umount_resctrl
is "abi-6 no cdp either" EINVAL "$(mount_resctrl cdp)"
is "abi-8 nor the controller, which needs counters" EINVAL "$(mount_resctrl mba_MBps)"
finish
