#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The software bandwidth controller with a program that takes what it gets: bandwidth comes down to the target, goes up to it, and stays.
# needs: intel l3.cat mb mb.step=10 mbm_local_bytes nodes=1
# machines: intel
# run: asked
# guest: own
# timeout: 300

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl mba_MBps)"
mkdir $M/walker
counter=$M/walker/mon_data/mon_L3_00/mbm_local_bytes
# One bit of the mask: what is walked over is several times as much, and misses always.
mask=$((0x$L3_MASK))
accepted "one bit of the cache" $M/walker/schemata "L3:0=$(printf '%x' $((mask & -mask)))"
# Ten steps of 4 MiB/s.
speed=$((40 << 20))
rdt-traffic memory-speed $speed
as_member walker taskset 1 cache-load walk 16M 1000000 read >/dev/null &

# kib_a_second: of the next one, in KiB.
kib_a_second() {
	kib_bytes=$(cat $counter)
	kib_time=$(hundredths)
	sleep 1
	kib_bytes=$(($(cat $counter) - kib_bytes))
	echo $((kib_bytes * 100 / 1024 / ($(hundredths) - kib_time)))
}

# watched TARGET SECONDS: points of a curve, as long as the controller takes to get there.
watched() {
	watched_end=$((second + $2))
	while [ $second -lt $watched_end ]; do
		echo "# point second MiB_a_second_with_target_$1 $second $(($(kib_a_second) / 1024))"
		second=$((second + 1))
	done
}

# stays TARGET: five seconds more are below the target, and no more than two steps. What is counted in a second that is not the
# controller's own can be a step of its counter more.
stays() {
	for stays_turn in 1 2 3 4 5; do
		stays_kib=$(kib_a_second)
		note "target $1 MiB a second, turn $stays_turn: $stays_kib KiB a second"
		between "abi-413 bandwidth stays at its target of $1" $((($1 - 9) * 1024)) $((($1 + 1) * 1024)) "$stays_kib"
	done
}

sleep 2
second=0
free=$(kib_a_second)
note "without a target: $free KiB a second"
between "without a target the program gets memory's speed" $((35 * 1024)) $((44 * 1024)) "$free"
for target in 20 33 12; do
	accepted "abi-413 a target of $target" $M/walker/schemata "MB:0=$target"
	watched $target 12
	stays $target
done
killall cache-load
wait
rdt-traffic memory-speed 0
rdt-traffic caches still
rmdir $M/walker
umount_resctrl
finish
