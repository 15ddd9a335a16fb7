#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Counters of the processor count what a program does: its instructions, and what the caches that follow it do not have.
# needs: pmu l3.cat
# machines: intel-perf amd-perf mpam-perf
# guest: own

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

[ -e /proc/sys/kernel/perf_event_paranoid ] || skip "this kernel counts nothing (CONFIG_PERF_EVENTS)"

# counted SIZE ROUNDS: sets what was counted of a walk on CPU 0.
counted() {
	taskset 1 cache-load counters "$1" "$2" read >/tmp/counted 2>&1
	read -r instructions cycles references misses direct behind </tmp/counted
	note "a walk over $1 bytes, $2 times: instructions, cycles, references, misses: $(cat /tmp/counted)"
}

# What Linux has programs call misses is what the last level cache does not have, and on AMD what the L2 of the CPU does not have. On Arm
# cache-load asks for those of the last level by name.
cache=$L3_SIZE
abi=407
if [ "$VENDOR" = amd ]; then
	cache=$L2_SIZE
	abi=419
fi
check "the kernel has found them" eval "ls -d /sys/bus/event_source/devices/cpu || ls -d /sys/bus/event_source/devices/armv8_*"
check "caches begin to follow" rdt-traffic caches follow
lines=$((cache / 64))

# At least 2^17 lines, so that what else happens meanwhile is little of it.
rounds=3
while [ $((lines * 2 * rounds)) -lt 131072 ]; do rounds=$((rounds + 1)); done
counted $((cache * 2)) $rounds
walked=$((lines * 2 * rounds))
between "abi-$abi what does not fit is missed for each line" $((walked * 99 / 100)) $((walked * 101 / 100)) "$misses"
between "abi-$abi and referred to" $((walked * 99 / 100)) $((walked * 101 / 100)) "$references"
# The loop has a few instructions for each line.
between "abi-408 instructions are those of the loop" $((walked * 2)) $((walked * 8)) "$instructions"
between "abi-408 cycles go on" $((instructions / 100)) $((instructions * 10000)) "$cycles"
# RDPMC is behind one system call, and before another. On Arm Linux lets no program do that unless it is told to.
if [ "$ARCH" != arm64 ]; then
	between "abi-409 a program reads them itself" 1 10000 "$direct"
	between "abi-409 and the kernel goes on from there" 1 10000 "$behind"
fi

counted $((cache / 4)) 20
walked=$((lines / 4 * 20))
between "abi-$abi what fits is not missed" 0 $((walked / 50)) "$misses"

# Masks of the L3 are nothing to the misses of an L2.
if [ "$VENDOR" != amd ]; then
	is "it mounts" ok "$(mount_resctrl)"
	mkdir $M/confined
	accepted "one way" $M/confined/schemata "L3:0=1"
	sh -c 'echo $PPID' >/tmp/self
	cat /tmp/self >$M/confined/tasks
	# Memory of the last walk may be given out again, and its lines would be hit in ways that may not be filled.
	check "caches are emptied" eval "rdt-traffic caches still && rdt-traffic caches follow"
	counted $((cache / 4)) 4
	walked=$((lines / 4 * 4))
	between "abi-407 who is confined to one way misses it" $((walked * 90 / 100)) $((walked * 101 / 100)) "$misses"
fi
finish
