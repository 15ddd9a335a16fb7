#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What it costs that caches follow: the same work with still caches and with ones that follow, in turns.
# needs: l3.cat llc_occupancy
# machines: intel
# run: asked
# guest: own
# timeout: 600

. /rig/lib/check.sh

# Something like a compiler: processes that begin and end, text that is read and sorted, sums and packing.
compile() {
	for number in 1 2 3 4 5 6; do
		seq 1 4000 | sed "s/^/int f$number/;s/$/(void);/" | sort -r | gzip -c | sha256sum >/dev/null
	done
}
chase() {
	cache-load chase 16M 1000000 >/dev/null
}
walk() {
	cache-load walk 8M 20 read >/dev/null
}

# took WORK: how long it takes, in hundredths of a second.
took() {
	took_begin=$(hundredths)
	"$1"
	echo $(($(hundredths) - took_begin))
}

taskset -p 1 $$ >/dev/null
for work in compile chase walk; do
	still=0
	follow=0
	for turn in 1 2 3; do
		rdt-traffic caches still
		$work
		still=$((still + $(took $work)))
		rdt-traffic caches follow
		$work
		follow=$((follow + $(took $work)))
	done
	rdt-traffic caches still
	[ $still -gt 0 ] || still=1
	echo "# stat still_hundredths_$work $still"
	echo "# stat follow_percent_of_still_$work $((follow * 100 / still))"
	note "$work: $still hundredths of a second with still caches, $follow with ones that follow"
	# A loop that does nothing but touch the next line is slower still: each of its accesses gets to the model.
	[ $work = walk ] || between "abi-404 caches that follow take at most 4 times: $work" 0 400 $((follow * 100 / still))
done
finish
