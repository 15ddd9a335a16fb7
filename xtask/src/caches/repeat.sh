#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# All that is counted of a guest whose caches follow what it does, in figures.

. /rig/lib/resctrl.sh

set -e
mount -t resctrl resctrl $M
mkdir $M/walker $M/neighbour
counters=$M/walker/mon_data/mon_L3_00
bits=0
while [ $((0x$L3_MASK >> bits)) -gt 0 ]; do bits=$((bits + 1)); done
echo "L3:0=$(printf '%x' $(((1 << bits / 4) - 1)))" >$M/walker/schemata

# figures NAME TEXT: the last of which is microseconds.
figures() {
	echo "$*"
}
occupancy() {
	for file in $M/mon_data/mon_L3_*/llc_occupancy $M/*/mon_data/mon_L3_*/llc_occupancy; do
		figures "$1: ${file#"$M"/}" "$(cat "$file")"
	done
}

# 0 unless they have followed from power-on.
figures "boot: CPU 0: accesses, references, misses" "$(rdt-traffic cache-counts 0)"
occupancy boot
rdt-traffic caches follow
figures "walk: bytes, counted, references, misses, microseconds" \
	"$(as_member walker taskset 1 cache-load walk $((L3_SIZE * 2)) 1 read $counters/mbm_total_bytes)"
figures "write" "$(as_member walker taskset 1 cache-load walk $((L3_SIZE * 2)) 1 write $counters/mbm_total_bytes)"
figures "chase" "$(as_member walker taskset 1 cache-load chase $L3_SIZE 100000)"
# The last CPU that there is.
last=$(printf '%x' $((1 << $(nproc) - 1)))
# shellcheck disable=SC2016 # for the other shell
neighbour='echo $$ >'$M'/neighbour/tasks && exec taskset '$last' cache-load walk '$L3_SIZE' 1 read'
figures "beside a neighbour" "$(as_member walker taskset 1 cache-load return $((L3_SIZE / 8)) read sh -c "$neighbour >/dev/null")"
occupancy end
for cpu in $(seq 0 $(($(nproc) - 1))); do
	figures "end: CPU $cpu" "$(rdt-traffic cache-counts $cpu)"
done
