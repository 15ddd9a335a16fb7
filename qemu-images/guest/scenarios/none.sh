#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A processor with nothing for resctrl: the module does not load and leaves nothing behind.
# needs: x86 !resctrl
# refusal: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

note "insmod: $(cat /run/insmod 2>/dev/null)"
grep resctrl /run/dmesg | grep -v 'ommand line' | sed 's/^/# /'
is "abi-1 there is no file system type" "" "$(grep -w resctrl /proc/filesystems)"
is "abi-1 and nowhere to mount it" no "$([ -d $M ] && echo yes || echo no)"
is "mounting finds no such type" ENODEV "$(errno mount -t resctrl resctrl /tmp)"
if [ "$IMPL" = rust ]; then
	like "the module says why it does not load" "*resctrl.ko*No such device*" "$(cat /run/insmod)"
	check "the kernel log has the reason" grep -q 'resctrl: nothing to control or to monitor' /run/dmesg
	is "it is not loaded" "" "$(grep -w ^resctrl /proc/modules)"
	is "it left nothing in debugfs" no "$([ -e /sys/kernel/debug/resctrl ] && echo yes || echo no)"
	is "nor a hotplug state" "" "$(grep -w resctrl /sys/devices/system/cpu/hotplug/states)"
	is "a second try ends the same way" 19 "$(insmod /rig/resctrl.ko 2>/dev/null; echo $?)"
fi
offline 1
online 1
is "CPUs come and go" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
finish
