#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Regions that are not what they should be are left out, with a word in the log.
# machines: intel-aet-broken
# kernels: debug plain
# guest: own
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
is "the log says what is wrong, and that the rest is used" \
	"Bad package 2 in guid 0x26696143 / PERF_PKG energy:0x26696143 monitoring detected / MMIO space wrong size (32224 bytes) for guid 0x26557651. Expected 32280 bytes. / Bad package 2 in guid 0x26557651" \
	"$(dmesg | sed -n 's/.*resctrl: //p' | sed ':a;N;$!ba;s,\n, / ,g')"
is "what is right of it is there" "core_energy activity" "$(xargs <$M/info/PERF_PKG_MON/mon_features)"
is "for every package" "mon_L3_00 mon_L3_01 mon_PERF_PKG_00 mon_PERF_PKG_01" "$(ls $M/mon_data | xargs)"
rdt-traffic telemetry 0 0 core_energy 262144
rdt-traffic telemetry 1 0 core_energy 262144
is "abi-193 a package without a region has nothing to show" "Unavailable 1.000000" \
	"$(cat $M/mon_data/mon_PERF_PKG_00/core_energy $M/mon_data/mon_PERF_PKG_01/core_energy | xargs)"
umount_resctrl
finish
