#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Firmware tables and registers that cannot be right: no MPAM, no resctrl, and a machine that works all the same.
# needs: mpam.broken
# refusal: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

note "insmod: $(cat /run/insmod 2>/dev/null)"
grep -i mpam /run/dmesg | grep -v 'ommand line' | sed 's/^/# /'
is "there is no resctrl" "" "$(grep -w resctrl /proc/filesystems)"
is "and nowhere to mount it" no "$([ -d $M ] && echo yes || echo no)"
if [ "$IMPL" = rust ]; then
	like "the module says why it does not load" "*resctrl.ko*" "$(cat /run/insmod)"
	is "and is not loaded" "" "$(grep -w ^resctrl /proc/modules)"
	check "the kernel log has a reason" grep -qiE 'resctrl: .*(MPAM|MSC|mpam|ACPI)' /run/dmesg
fi
like "nothing is said to be enabled" "" "$(grep 'MPAM enabled' /run/dmesg)"
for cpu in 1 3; do
	offline $cpu
	online $cpu
done
is "CPUs come and go" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
finish
