#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Bandwidth allocation slows down who misses caches: throughput follows the setting.
# needs: l3.cat mb llc_occupancy
# machines: intel mpam
# run: asked
# guest: own
# timeout: 300

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"
mkdir $M/walker
# One bit of the mask: what is walked over is several times as much, and misses always.
mask=$((0x$L3_MASK))
accepted "one bit of the cache" $M/walker/schemata "L3:0=$(printf '%x' $((mask & -mask)))"
size=$((16 << 20))

# throughput PERCENT: bytes a second of a walk with this setting, which is made after all memory has been touched.
throughput() {
	echo "MB:0=100" >$M/walker/schemata
	as_member walker taskset 1 cache-load return $size read sh -c "echo MB:0=$1 >$M/walker/schemata" >/tmp/walk
	read -r throughput_bytes _ _ _ throughput_time </tmp/walk
	echo $((throughput_bytes * 1000000 / throughput_time))
}

# Memory gets a speed that this host's emulation can keep up with, whatever else it does.
unlimited=$(throughput 100)
speed=$((32 << 20))
[ $unlimited -gt $((2 * speed)) ] || speed=$((unlimited / 2))
note "without a speed of memory: $unlimited bytes a second; memory gets $speed"
rdt-traffic memory-speed $speed
before=0
monotonic=yes
: >/tmp/points
for percent in 10 20 30 40 50 60 70 80 90 100; do
	got=$(throughput $percent)
	note "MB $percent: $got bytes a second, $((got * 1000 / speed)) thousandths of memory's speed"
	echo "# point MB thousandths_of_memory's_speed $percent $((got * 1000 / speed))"
	[ "$got" -gt $before ] || monotonic="no, at $percent"
	before=$got
	echo "$percent $got" >>/tmp/points
done
is "abi-405 throughput grows with the setting" yes "$monotonic"
# The square of the coefficient of correlation, times 10000: 0.99 is 9801. Settings in tens, throughput in KiB a second.
n=0 x=0 y=0 xx=0 yy=0 xy=0
while read -r percent got; do
	tens=$((percent / 10))
	kib=$((got / 1024))
	n=$((n + 1)) x=$((x + tens)) y=$((y + kib)) xx=$((xx + tens * tens)) yy=$((yy + kib * kib)) xy=$((xy + tens * kib))
done </tmp/points
covariance=$((n * xy - x * y))
square=$((covariance * covariance / (n * xx - x * x) * 10000 / (n * yy - y * y)))
echo "# stat squared_correlation_by_10000 $square"
between "abi-405 it is the setting that it follows: the square of the correlation by 10000" 9801 10000 $square
rdt-traffic memory-speed 0
rdt-traffic caches still
rmdir $M/walker
umount_resctrl
finish
