#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A pseudo-locked region with caches that follow: it stays in the cache whatever others do, and the kernel's own measurement shows that it does.
# needs: pseudo_lock pmu l3.cat
# machines: intel-pseudo-lock-perf
# guest: own
# timeout: 120

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

DEBUG=/sys/kernel/debug/resctrl
TRACE=/sys/kernel/tracing
mount -t debugfs none /sys/kernel/debug 2>/dev/null
mount -t tracefs none $TRACE 2>/dev/null

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"
mkdir $M/p0
full=$((0x$L3_MASK))
accepted "all others leave room" $M/schemata "L3:0=$(printf '%x' $((full & ~3)))"
accepted "it is to be locked" $M/p0/mode pseudo-locksetup
accepted "two ways" $M/p0/schemata "L3:0=3"
is "it is locked" pseudo-locked "$(cat $M/p0/mode)"
lines=$((L3_SIZE / 12 * 2 / 64))

# measured: hits and misses of the L3 while the kernel reads each line of the region.
measured() {
	echo >$TRACE/trace
	echo 1 >$TRACE/events/resctrl/pseudo_lock_l3/enable
	Wn $DEBUG/p0/pseudo_lock_measure 3 >/dev/null
	echo 0 >$TRACE/events/resctrl/pseudo_lock_l3/enable
	sed -n 's/.*pseudo_lock_l3: hits=\([0-9]*\) miss=\([0-9]*\).*/\1 \2/p' $TRACE/trace
}

# What the kernel calls hits is what was asked for less what was missed.
measured >/tmp/measured
read -r hits misses </tmp/measured
note "at first: of $lines lines, hits $hits, misses $misses"
between "abi-415 each line is asked for" $((lines * 98 / 100)) $((lines * 103 / 100)) $((hits + misses))
for cpu in 0 1; do
	taskset $((1 << cpu)) cache-load walk $((L3_SIZE * 3)) 2 read >/dev/null
done
measured >/tmp/measured
read -r hits misses </tmp/measured
note "after others have walked over three times the cache: hits $hits, misses $misses"
between "abi-415 and stays there whatever others do" 0 $((lines / 50)) "$misses"

rdt-traffic caches still
rmdir $M/p0
umount_resctrl
finish
