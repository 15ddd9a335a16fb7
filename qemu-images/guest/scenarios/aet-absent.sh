#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel without a driver for telemetry: the machine is monitored as if it had none.
# needs: telemetry
# kernels: stock
# guest: own
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "there is no telemetry" "L3 L3_MON last_cmd_status" "$(ls $M/info | xargs)"
is "nor in the groups" "mon_L3_00 mon_L3_01" "$(ls $M/mon_data | xargs)"
is "nor a word about it" "" "$(dmesg | grep PERF_PKG)"
umount_resctrl
finish
