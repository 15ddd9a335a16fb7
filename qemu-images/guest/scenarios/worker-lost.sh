#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A worker that has to leave its CPU never ends up on that CPU again, where nobody would find it.
# needs: x86 l3.cat mbm_total_bytes !abmc nodes=1 l3.cpus=2 l3.domains>=2 l3.domains<=10
# machines: intel
# guest: own
# seconds: LOST_SECONDS=20
# run: asked
# timeout: 120
#
# Where offline sends the worker to another CPU before it takes the leaving one out of the domain's mask, the
# worker can be so fast that it picks the leaving one: then it is queued there, finds itself displaced, ends,
# and nobody reads the counters any more. Two witnesses: the trace of workqueues and timers says where the worker
# armed itself; traffic beyond the range of a counter says whether somebody still reads it once a second. The
# first is a suspicion (the worker may have armed itself a moment before its CPU began to leave, which offline
# then sees), the second is the proof.
#
# Half of the time the kernel runs as it is. Then probes, each of which records a stack trace, make the offline
# callback slow between letting the mutex go and its end, as a hypervisor that takes the processor away would.
# In the kernel's own they are at the instructions of the callback. Rust functions cannot be probed; there they
# are where the function of the shim that lets the mutex go returns.
#
# The kernel's own resctrl loses workers, so there it is counted and no failure.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

T=/sys/kernel/tracing
domain=$((L3_DOMAINS - 1))
first=$(first_cpu $domain)
second=$((first + 1))
event=$M/mon_data/mon_L3_0$domain/mbm_total_bytes
range=$(((1 << MON_COUNTER_BITS) * MON_UNIT))
if [ "$IMPL" = rust ]; then
	worker=run_work
else
	worker=mbm_handle_overflow
fi
seconds=${LOST_SECONDS:-20}

trace() {
	for name in workqueue/workqueue_execute_start workqueue/workqueue_execute_end timer/timer_start; do
		echo "$1" >$T/events/$name/enable || return
	done
}

# places: where probes are tried. The kernel refuses those that are not at the start of an instruction.
places() {
	if [ "$IMPL" = rust ]; then
		seq 1 60 | sed 's,.*,r:slow/at& shim_mutex_unlock,'
	else
		seq 0 400 | sed 's,.*,p:slow/at& resctrl_arch_offline_cpu+&,'
	fi
}

slow_down() {
	places >/tmp/places
	probes=0
	while read -r place; do
		echo "$place" >>$T/kprobe_events || continue
		name=${place#*:}
		echo stacktrace >"$T/events/${name%% *}/trigger" && probes=$((probes + 1))
	done </tmp/places 2>/dev/null
	echo 1 >$T/events/slow/enable
}

full_speed() {
	echo 0 >$T/events/slow/enable
	for trigger in $T/events/slow/at*/trigger; do
		echo '!stacktrace' >"$trigger"
	done
	: >$T/kprobe_events
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

# is_read: feeds a range and a half in four seconds and says whether all of it was counted. The parts are so
# small that a reader may be two seconds late.
is_read() {
	before=$(cat "$event")
	part=$((range / 16 * 5))
	for turn in 1 2 3 4 5; do
		rdt-traffic add $domain 0 mbm_total_bytes $part
		sleep 0.8
	done
	counted=$(($(cat "$event") - before))
	[ $counted = $((part * 5)) ] || {
		note "counted $counted of $((part * 5)) bytes"
		return 1
	}
}

# hunt PREFIX SECONDS: takes the first CPU away and back, again and again; at least ten times. A proof takes five
# seconds, so there are three at most.
hunt() {
	cycles=0
	moved=0
	picked=0
	proofs=0
	lost=0
	ends=$(($(cut -d. -f1 /proc/uptime) + $2))
	while [ $cycles -lt 10 ] || [ "$(cut -d. -f1 /proc/uptime)" -lt $ends ]; do
		cycles=$((cycles + 1))
		: >$T/trace
		offline "$first"
		set -- "$1" $(moves)
		[ "$2" -gt 0 ] && moved=$((moved + 1))
		if [ "$3" -gt 0 ]; then
			picked=$((picked + 1))
			note "$1 cycle $cycles: the worker armed itself on CPU $first, which was leaving"
			if [ $proofs -lt 3 ]; then
				proofs=$((proofs + 1))
				# It is due there within a second, and ends, if it does.
				sleep 1.2
				is_read || lost=$((lost + 1))
			fi
		fi
		online "$first"
		# The worker comes back to the lowest CPU when the other one leaves.
		offline $second
		online $second
	done
	echo "# stat $1_cycles $cycles"
	echo "# stat $1_moved_while_leaving $moved"
	echo "# stat $1_picked_leaving_cpu $picked"
	echo "# stat $1_proofs_tried $proofs"
	echo "# stat $1_workers_lost $lost"
	all_moved=$((all_moved + moved))
	all_lost=$((all_lost + lost))
}

all_moved=0
all_lost=0
check "workqueues and timers can be traced" trace 1
is "it mounts" ok "$(mount_resctrl)"
hunt as_is $((seconds / 2))
slow_down
between "the offline callback is slowed down" 20 1000 $probes
hunt slow $((seconds / 2))
full_speed
trace 0
: >$T/trace

if [ "$IMPL" = rust ]; then
	# Nobody moves it: it finds out for itself when it is due.
	moved=$(awk '$1 == "repicks" || $1 == "displaced" { n += $2 } END { print n + 0 }' /sys/kernel/debug/resctrl/stats)
	echo "# stat moved $moved"
	between "workers lost their CPU and moved, so they were looked at" 1 100000 "$moved"
	is "no worker was lost" 0 $all_lost
	offline "$first"
	check "abi-208 counters are read while the first CPU is away" is_read
	online "$first"
else
	between "offline moved the worker, so it was looked at" 1 100000 $all_moved
	[ $all_lost -gt 0 ] && found=found || found="not found"
	note "the kernel's own resctrl: a lost worker was $found"
fi
is "every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
umount_resctrl
finish
