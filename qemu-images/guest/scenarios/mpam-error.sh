#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An error interrupt: everything is turned off in good order, whatever is going on.
# needs: mpam mpam.interrupt mpam.uniform l3.cat l3.bits>=8 mb monitoring l3.first_id=0 cpus>=3
# machines: mpam mpam-2l3 mpam-ris mpam-split
# guest: own

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

last=$((L3_DOMAINS - 1))
full_bandwidth=$(holds mbw_max 0 0)
mount_resctrl >/dev/null
mkdir $M/p0 $M/p0/mon_groups/m0
accepted "controls" $M/p0/schemata "L3:0=f0
MB:$last=50"
is "are programmed" f0 "$(holds cpbm 0 1)"
echo 1 >$M/p0/cpus_list
resctrl-sys spin 1 60 &
spinner=$!
# A mount that has begun, and waits for a line.
mkdir /tmp/later
mkfifo /tmp/go
resctrl-sys mount-later /tmp/later resctrl </tmp/go >/tmp/later.ready 2>/tmp/later.said &
begun=$!
exec 6>/tmp/go
is "a mount can be begun" ready "$(within 5 ready cat /tmp/later.ready)"
exec 5<$M/p0/schemata
if [ "$IMPL" = rust ]; then
	# Numbers below 32 are private to each CPU, and handled there. A thread is preempted and moved as any other, with
	# PREEMPT_RT and without.
	is "abi-320 each error interrupt that all CPUs can get has a thread" \
		"$(awk '/resctrl:msc/ && $(NF - 2) >= 32' /proc/interrupts | wc -l)" "$(ps | grep -c '[i]rq/.*-resc')"
fi

# A request with a PARTID that the component does not have.
msc request 0 0 $((PARTIDS + 20)) 0 64
is "abi-232 the file system type is gone" "" "$(within 5 "" grep -w resctrl /proc/filesystems)"
like "the kernel says which component, and why" "*error irq from msc:*Req_PARTID_Range*partid:$((PARTIDS + 20))*" \
	"$(dmesg | grep 'error irq')"
like "and what that means" "*MPAM disabled due to hardware error interrupt*" "$(dmesg)"
is "an open file is stale" ENODEV "$(errno_of "$(cat <&5 2>&1)")"
exec 5<&-
is "the directory is empty" "" "$(within 5 "" ls $M)"
is "nothing can be written any more" yes "$(echo "L3:0=1" 2>/dev/null >$M/schemata && echo no || echo yes)"
for domain in $(seq 0 $last); do
	is "abi-232 every mask of domain $domain is at its reset value" "$L3_MASK" "$(holds_everywhere cpbm "$domain")"
	is "abi-232 every limit" "$full_bandwidth" "$(holds_everywhere mbw_max "$domain")"
done
is "tasks run with PARTID 0 again" "0 0" "$(within 5 "0 0" rdt-traffic assoc 1)"
is "abi-232 the mount that is there can be unmounted" ok "$(errno umount $M)"
is "and there will be no other" ENODEV "$(mount_resctrl)"
echo >&6
exec 6>&-
wait $begun
is "abi-274 not even one that was begun before" 1 $?
is "abi-274 and it says why" ENODEV "$(errno_of "$(cat /tmp/later.said)")"
# CPUs still come and go.
offline 2
online 2
is "CPUs come and go without it" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
kill $spinner
wait $spinner 2>/dev/null
if [ "$IMPL" = rust ]; then
	check "the module unloads" rmmod resctrl
	# Errors that are there before anybody can mount.
	while msc request 0 0 $((PARTIDS + 20)) 0 64; do :; done &
	errors=$!
	insmod /rig/resctrl.ko 2>/dev/null
	is "abi-276 after an error while it loads nothing can be mounted" ENODEV "$(within 5 ENODEV mount_resctrl)"
	sleep 0.2
	is "abi-276 and never again" ENODEV "$(mount_resctrl)"
	kill $errors
	wait $errors 2>/dev/null
	[ ! -d /sys/module/resctrl ] || check "abi-276 it unloads, too" rmmod resctrl
fi
finish
