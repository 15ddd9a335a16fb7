#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A worker that has to leave its CPU never picks that CPU again while it is on its way out.
# seconds: LOST_SECONDS=15
# timeout: 120
#
# Where offline sends the worker to another CPU before it takes the leaving one out of the domain's mask, the
# worker can be so fast that it picks the leaving one: then it is queued there, finds itself displaced, ends,
# and nobody reads the counters any more. Two witnesses: the trace of workqueues and timers says where the worker
# armed itself; traffic beyond the range of a counter says whether somebody still reads it once a second.
#
# The kernel's own resctrl is known to allow it, so there it is counted and no failure.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

T=/sys/kernel/tracing
domain=$((L3_DOMAINS - 1))
first=$(first_cpu $domain)
second=$((first + 1))
event=$M/mon_data/mon_L3_0$domain/mbm_total_bytes
range=$(((1 << MON_COUNTER_BITS) * MON_UNIT))
worker=mbm_handle_overflow
[ "$IMPL" = rust ] && worker=run_work

trace() {
	for name in workqueue/workqueue_execute_start workqueue/workqueue_execute_end timer/timer_start; do
		echo "$1" >$T/events/$name/enable || return
	done
}

# moves: how often the worker ran on the second CPU, and how often it armed itself on the first one from there.
moves() {
	awk -v first="cpu=$first" -v second="[00$second]" -v worker="$worker" '
		$2 == second && /workqueue_execute_start:/ && index($0, "function " worker) { runs++; inside[$1] = 1 }
		/workqueue_execute_end:/ { delete inside[$1] }
		/ timer_start: / && ($1 in inside) && /=delayed_work_timer_fn / {
			for (i = 3; i <= NF; i++) if ($i == first) picked++
		}
		END { print runs + 0, picked + 0 }' $T/trace
}

# is_read: feeds one and a half ranges in four seconds and says whether all of it was counted.
is_read() {
	before=$(cat "$event")
	part=$((range / 10 * 3))
	for turn in 1 2 3 4 5; do
		rdt-traffic add $domain 0 mbm_total_bytes $part
		sleep 0.8
	done
	[ $(($(cat "$event") - before)) = $((part * 5)) ]
}

check "workqueues and timers can be traced" trace 1
is "it mounts" ok "$(mount_resctrl)"
cycles=0
moved=0
picked_leaving=0
lost=0
ends=$(($(cut -d. -f1 /proc/uptime) + ${LOST_SECONDS:-15}))
while [ $cycles -lt 10 ] || [ "$(cut -d. -f1 /proc/uptime)" -lt $ends ]; do
	cycles=$((cycles + 1))
	: >$T/trace
	offline "$first"
	set -- $(moves)
	[ "$1" -gt 0 ] && moved=$((moved + 1))
	if [ "$2" -gt 0 ]; then
		picked_leaving=$((picked_leaving + 1))
		note "cycle $cycles: the worker picked CPU $first, which was leaving"
		# Once it is due there it ends, if it does.
		sleep 1.2
		is_read || lost=$((lost + 1))
	fi
	# The worker comes back to the lowest CPU when the other one leaves.
	online "$first"
	offline $second
	online $second
done
trace 0
: >$T/trace
echo "# stat cycles $cycles"
echo "# stat moved_while_leaving $moved"
echo "# stat picked_leaving_cpu $picked_leaving"
echo "# stat workers_lost $lost"

if [ "$IMPL" = rust ]; then
	is "no worker picked the leaving CPU" 0 $picked_leaving
	is "no worker was lost" 0 $lost
	offline "$first"
	check "abi-208 counters are read while the first CPU is away" is_read
	online "$first"
else
	between "offline moved the worker, so it was looked at" 1 100000 $moved
	note "the kernel's own: $lost workers lost in $cycles cycles"
fi
is "every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
umount_resctrl
finish
