#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Where L3 allocation is turned off nobody tries whether it is there.
# needs: l3.unannounced monitoring !mb
# append: rdt=!l3cat
# parameters: rdt=!l3cat
# compare: yes
# guest: own

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "abi-221 no mask was ever written" 0 "$(rdt-traffic writes l3)"
is "abi-221 there is only monitoring" "L3_MON last_cmd_status" "$(mount_resctrl >/dev/null && ls $M/info | xargs)"
umount_resctrl
finish
