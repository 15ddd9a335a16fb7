#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The machine is what its file says: CPUs, caches, who shares what.
# needs: resctrl !errata
# machines: intel intel-l2 intel-mon-only intel-big intel-cdp intel-nonlinear-mba intel-noncont intel-haswell intel-narrow-mbm intel-snc amd amd-abmc amd-sdciae mpam mpam-2l3 mpam-l2 mpam-ris mpam-split

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

is "CPUs online" "$CPUS" "$(nproc)"
domains=0
while [ $domains -lt "$L3_DOMAINS" ]; do
	for cpu in $(cpus_of $domains); do
		for index in /sys/devices/system/cpu/cpu"$cpu"/cache/index*; do
			[ "$(cat "$index/level")" = 3 ] || continue
			is "L3 of CPU $cpu" "id $((L3_FIRST_ID + domains)), $((L3_SIZE / 1024))K" "id $(cat "$index/id"), $(cat "$index/size")"
		done
	done
	domains=$((domains + 1))
done
is "the hardware below knows the same" "$CPUS $L3_DOMAINS" "$(rdt-traffic probe)"
if [ "$ARCH" = amd64 ]; then
	is "every CPU can be asked for registers" "$CPUS" "$(ls -d /dev/cpu/[0-9]*/msr | wc -l)"
fi
like "resctrl is there to be mounted" "*resctrl*" "$(ls /sys/fs)"
finish
