#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# rdt= turns events of packages off, and unlike elsewhere on does not win over that.
# needs: telemetry !telemetry.few !telemetry.wrong
# kernels: debug plain
# append: rdt=!energy,energy:0x26696143,!perf:0x1234,!perf:xyz,!energy:
# parameters: rdt=!energy,energy:0x26696143,!perf:0x1234,!perf:xyz,!energy:
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "abi-201 energy is off; what names no group turns nothing off" \
	"stalls_llc_hit c1_res unhalted_core_cycles stalls_llc_miss c6_res unhalted_ref_cycles uops_retired" \
	"$(xargs <$M/info/PERF_PKG_MON/mon_features)"
is "abi-201 there are no files of it" 7 "$(ls $M/mon_data/mon_PERF_PKG_00 | wc -l)"
is "the log has no word about it" "PERF_PKG perf:0x26557651 monitoring detected" \
	"$(dmesg | sed -n 's/.*resctrl: \(PERF_PKG\)/\1/p')"
umount_resctrl
finish
