#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# rdt=: on wins over off, in whichever order; on makes nothing that is not there.
# needs: intel l3.cdp mb monitoring !l2.cat !telemetry
# machines: intel
# append: rdt=l3cat,!l3cat,!mba,mba,!l3cdp,l2cat,smba
# parameters: rdt=l3cat,!l3cat,!mba,mba,!l3cdp,l2cat,smba
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "abi-221 what is on and off is on; what the processor lacks is not there" "L3 L3_MON MB last_cmd_status" \
	"$(ls $M/info | xargs)"
umount_resctrl
is "abi-221 cdp is off" EINVAL "$(mount_resctrl cdp)"
finish
