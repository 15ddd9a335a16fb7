#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# AMD: what only its processors have can be turned off by rdt=, piece by piece; the rest goes on.
# needs: amd llc_occupancy mbm_total_bytes mbm_local_bytes
# append: rdt=!smba,!bmec,abmc,!abmc,!sdciae
# parameters: rdt=!smba,!bmec,!abmc,abmc,!sdciae

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
I=$M/info
is "abi-221 smba is off, mba is not" "ENOENT ${MB_CLOSIDS:-ENOENT}" "$(R $I/SMBA/num_closids) $(R $I/MB/num_closids)"
is "abi-221 bmec is off" "ENOENT ENOENT" "$(R $I/L3_MON/mbm_total_bytes_config) $(R $I/L3_MON/mbm_local_bytes_config)"
is "abi-57 the events are there" "llc_occupancy mbm_total_bytes mbm_local_bytes" "$(xargs <$I/L3_MON/mon_features)"
has_assignment && mode="[mbm_event] default" || mode="[default]"
is "abi-221 abmc, off and on, is on where there is some" "$mode" "$(xargs <$I/L3_MON/mbm_assign_mode)"
is "abi-221 sdciae is off" ENOENT "$(R $I/L3/io_alloc)"
is "abi-39 masks are of any shape still" "1 0" "$(cat $I/L3/sparse_masks $I/L3/min_cbm_bits | xargs)"
umount_resctrl
finish
