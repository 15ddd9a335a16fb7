#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Haswell servers have L3 allocation that CPUID does not announce; who tries finds it.
# machines: intel-haswell
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
I=$M/info
is "abi-222 mask, fewest bits, shared bits" "fffff 2 c0000" \
	"$(cat $I/L3/cbm_mask $I/L3/min_cbm_bits $I/L3/shareable_bits | xargs)"
is "abi-222 four classes, no holes" "4 0" "$(cat $I/L3/num_closids $I/L3/sparse_masks | xargs)"
is "abi-222 no bandwidth to control" "L3 L3_MON last_cmd_status" "$(ls $I | xargs)"
is "abi-57 occupancy is the only event" llc_occupancy "$(cat $I/L3_MON/mon_features)"
is "abi-40 the bits shared with devices" XX "$(cut -d';' -f1 $I/L3/bit_usage | cut -c 3-4)"
like "abi-188 files of a domain" llc_occupancy "$(ls $M/mon_data/mon_L3_00)"
umount_resctrl
is "abi-6 code and data are not told apart" EINVAL "$(mount_resctrl cdp)"
is "abi-8 without bandwidth counters there is no controller" EINVAL "$(mount_resctrl mba_MBps)"
finish
