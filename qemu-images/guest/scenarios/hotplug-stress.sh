#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# CPUs come and go while everything else happens; nothing breaks, leaks or gets stuck.
# needs: l3.cat mb llc_occupancy mon_groups>=2 l3.first_id=0 l3.domains>=2 l3.domains<=10 cpus>=4
# machines: intel intel-big intel-snc amd-abmc mpam-2l3
# lasts: 16
# timeout: 90
# seconds: STRESS_SECONDS=60 unasked=10
#
# The race this looks for: a worker is queued on a CPU that leaves, fires while the hotplug lock is held
# for writing, and goes on with a domain that is gone. It needs the last CPU of a domain to leave about
# one period (1 s) after the worker was queued; a loop that is faster never meets it. Hence the sleeps
# of 0.90 to 0.99 s. A run in which no worker was ever displaced proves nothing, so that is a failure.
#
# STRESS_RESTS (10) says in how many of ten rounds it sleeps so: with fewer, domains go and come more often, and fewer of them
# while a worker is due. STRESS_CYCLES (1) is how many cycles there must be in the end.
#
# All domains go and come at once, but the kernel takes one CPU at a time, so the CPUs are what limits the cycles. Hence
# most rounds of a domain with more than two CPUs leave all but two of them offline. And most of an operation is waiting
# for RCU, so that is told to hurry.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

needs_emulation

seconds=${STRESS_SECONDS:-60}
stop=/tmp/stop
counts=/tmp/counts
stats=/sys/kernel/debug/resctrl/stats
mkdir -p $counts
# A kernel that checks all it does needs longer for a round of groups, which must fit between two mounts. And there the
# other loops would leave no processor to hotplug, which is what is to be done many times.
slow=1
[ -e /sys/kernel/debug/kmemleak ] && slow=4

# breathe TENTHS: the pause of a loop between two rounds, up to TENTHS of a second more than it must be.
breathe() {
	sleep $((slow - 1)).$((RANDOM % $1))
}

# count NAME NUMBER: what a loop has done so far.
count() {
	echo "$2" >"$counts/$1"
}

# sum PATTERN: over what loops have done so far.
sum() {
	cat "$counts"/$1 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'
}

# Whether each loop has done something. On a slow kernel of a busy host that may take longer than the time asked for.
all_busy() {
	for name in mount_cycles group_cycles task_moves read_rounds $(seq 0 $((L3_DOMAINS - 1)) | sed 's/^/hotplug_cycles_domain_/'); do
		[ -e "$counts/$name" ] && [ "$(cat "$counts/$name")" -gt 0 ] || return
	done
	[ "$IMPL" != rust ] || [ "$(displaced)" -gt 0 ]
}

# Sum of what the module has counted of workers that were displaced or found their domain gone.
displaced() {
	awk '/^(repicks|displaced|dead_domain_runs) / { n += $2 } END { print n + 0 }' $stats
}

# The period of a worker, less a bit: 0.90 to 0.99 seconds. Only in a round that rests.
nearly_a_period() {
	[ -z "$rests" ] || sleep 0.9$((RANDOM % 10))
}

# choose DOMAIN: the CPUs that take part in the next round, in $cpus; the others are offline meanwhile.
choose() {
	all=$(cpus_of "$1" | grep -vx 0)
	cpus=$all
	[ $((RANDOM % (4 * slow))) = 0 ] || cpus=$(printf '%s\n' $all | shuf -n 2)
	for cpu in $all; do
		if printf '%s\n' $cpus | grep -qx "$cpu"; then online "$cpu"; else offline "$cpu"; fi
	done 2>/dev/null
}

# Takes domain $1 away and back, its CPUs in changing order.
hotplug() {
	cycles=0
	failed=0
	while [ ! -e $stop ]; do
		[ $((cycles % 10)) = 0 ] && choose "$1"
		rests=
		[ $((RANDOM % 10)) -ge "${STRESS_RESTS:-10}" ] || rests=yes
		order=$cpus
		[ $((RANDOM % 2)) = 0 ] && order=$(printf '%s\n' $cpus | sort -rn)
		[ $((RANDOM % 4)) = 0 ] && order=$(printf '%s\n' $cpus | shuf)
		last=${order##*[!0-9]}
		for cpu in $order; do
			# The workers are on the last CPU now; let them be due just when it leaves.
			[ "$cpu" = "$last" ] && nearly_a_period
			offline "$cpu" || failed=$((failed + 1))
		done 2>/dev/null
		[ $((RANDOM % 5)) = 0 ] && nearly_a_period
		for cpu in $(printf '%s\n' $order | shuf); do
			online "$cpu" || failed=$((failed + 1))
		done 2>/dev/null
		[ $((RANDOM % 5)) = 0 ] && nearly_a_period
		cycles=$((cycles + 1))
		count "hotplug_cycles_domain_$1" $cycles
	done
	count "hotplug_refused_domain_$1" $failed
}

# Mounted for some seconds, unmounted for a moment, now and then at once mounted again.
mounts() {
	cycles=0
	busy=0
	while [ ! -e $stop ]; do
		until mount -t resctrl resctrl $M 2>/dev/null || [ -e $stop ]; do
			sleep 0.05
		done
		sleep $(((RANDOM % 4 + 1) * slow)).$((RANDOM % 10))
		# Readers have files open: then it goes from sight now and for good when they close them.
		umount $M 2>/dev/null || {
			busy=$((busy + 1))
			umount -l $M 2>/dev/null
		}
		[ $((RANDOM % 2)) = 0 ] && sleep 0.$((RANDOM % 10))
		cycles=$((cycles + 1))
		count mount_cycles $cycles
	done
	count mount_busy $busy
}

groups() {
	cycles=0
	while [ ! -e $stop ]; do
		mkdir $M/s1 $M/s2 $M/s1/mon_groups/m1 $M/s1/mon_groups/m2 $M/mon_groups/m3
		echo "L3:0=f" >$M/s1/schemata
		echo "MB:0=50;1=50" >$M/s2/schemata
		echo 1 >$M/s1/cpus_list
		rmdir $M/s1/mon_groups/m1 $M/s1 $M/s2 $M/mon_groups/m3 && cycles=$((cycles + 1))
		count group_cycles $cycles
		breathe 4
	done 2>/dev/null
}

tasks() {
	moved=0
	sleep 100000 &
	task=$!
	while [ ! -e $stop ]; do
		for group in s1 s2 s1/mon_groups/m2 mon_groups/m3 .; do
			echo $task >$M/$group/tasks && moved=$((moved + 1))
			echo $$ >$M/$group/tasks && moved=$((moved + 1))
		done
		count task_moves $moved
		breathe 3
	done 2>/dev/null
	kill $task
}

reads() {
	rounds=0
	while [ ! -e $stop ]; do
		cat $M/mon_data/*/* $M/mon_data/*/*/* $M/*/mon_data/*/* $M/*/mon_groups/*/mon_data/*/* $M/schemata $M/size $M/info/L3/bit_usage >/dev/null
		rounds=$((rounds + 1))
		count read_rounds $rounds
		breathe 4
	done 2>/dev/null
}

# Fills the caches of some ids and empties them again, so that freed ids wait in limbo while domains go.
traffic() {
	rounds=0
	while [ ! -e $stop ]; do
		filled=
		for turn in 1 2 3 4 5 6 7 8 9 10 11 12; do
			filled="$filled $((RANDOM % L3_DOMAINS)),$(rmid $((RANDOM % (RMIDS - 1) + 1)))"
		done
		for pair in $filled; do
			rdt-traffic occupancy "${pair%,*}" "${pair#*,}" 8M
		done
		sleep $((RANDOM % 3 + 3 * (slow - 1))).5
		for pair in $filled; do
			rdt-traffic occupancy "${pair%,*}" "${pair#*,}" 0
		done
		rounds=$((rounds + 1))
	done
	count limbo_rounds $rounds
}

# Where CPUs come and go this fast, the scheduler's deadline servers now and then push a timer forward that is already
# queued, and warn (seen on 7.3.4, in dl_task_timer). Nothing here needs them.
servers=
for server in /sys/kernel/debug/sched/*_server/cpu*/runtime; do
	[ -e "$server" ] || continue
	servers="$servers $server=$(cat "$server")"
	echo 0 >"$server"
done

echo 1 >/sys/kernel/rcu_expedited
for domain in $(seq 0 $((L3_DOMAINS - 1))); do
	hotplug "$domain" &
done
mounts &
groups &
tasks &
reads &
traffic &

# The pauses of the loops leave room for the loops of the other guests of this host, and for the hotplug
# operations that all of them wait for.

# Printed now and then, so that a person who waits sees that something happens.
ends=$(($(cut -d. -f1 /proc/uptime) + seconds))
latest=$((ends + 60))
while time=$(cut -d. -f1 /proc/uptime) && { [ "$time" -lt $ends ] || { ! all_busy && [ "$time" -lt $latest ]; }; }; do
	sleep 5
	note "$(cut -d' ' -f1 /proc/uptime) s: $(cat /sys/devices/system/cpu/online) online, $(sum 'hotplug_cycles_*') cycles"
done
touch $stop
wait
echo 0 >/sys/kernel/rcu_expedited

for cpu in $(seq 1 $((CPUS - 1))); do online "$cpu" 2>/dev/null; done
for server in $servers; do echo "${server##*=}" >"${server%=*}"; done
for file in "$counts"/*; do
	echo "# stat ${file##*/} $(cat "$file")"
done
between "hotplug cycles were made" "${STRESS_CYCLES:-1}" 1000000 "$(sum 'hotplug_cycles_*')"
between "groups were made and removed" 1 1000000 "$(sum group_cycles)"
between "it was mounted and unmounted" 1 1000000 "$(sum mount_cycles)"
between "tasks were moved" 1 10000000 "$(sum task_moves)"
is "every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"

while grep -q ' resctrl ' /proc/mounts; do umount $M || sleep 0.1; done
sleep 3
is "it mounts again" ok "$(mount_resctrl)"
is "every domain is there" "$(seq 0 $((L3_DOMAINS - 1)) | xargs)" "$(domains L3 | xargs)"
# Where ids belong to a class, every class must have all of its.
[ -z "$PMGS" ] || while mkdir $M/c$((made = ${made:-0} + 1)); do :; done 2>/dev/null
made=0
for group in $M $M/c*; do
	[ ! -d "$group/mon_groups" ] || while mkdir "$group/mon_groups/g$made"; do made=$((made + 1)); done 2>/dev/null
done
is "abi-209 no monitoring id is stuck" $((RMIDS - ${PARTIDS:-1})) $made
case $(events) in
*mbm*)
	is "abi-190 bandwidth still counts" 1048576 "$(
		rdt-traffic add 1 "$(rmid 0)" mbm_total_bytes 1M
		cat $M/mon_data/mon_L3_01/mbm_total_bytes
	)"
	;;
*)
	is "occupancy is still counted" 1048576 "$(
		rdt-traffic occupancy 1 "$(rmid 0)" 1M
		cat $M/mon_data/mon_L3_01/llc_occupancy
	)"
	;;
esac
umount_resctrl

if [ "$IMPL" = rust ]; then
	sed 's/^/# stat /' $stats
	number() {
		sed -n "s/^$1 //p" $stats
	}
	between "domains were made while it ran" $((L3_DOMAINS + 1)) 10000000 "$(number domains_created)"
	# Without counters there is no overflow to look for; then the workers of limbo are those that are displaced.
	case $(events) in
	*mbm*) between "overflow workers ran" 1 10000000 "$(number overflow_runs)" ;;
	*) between "limbo workers ran" 1 10000000 "$(number limbo_runs)" ;;
	esac
	between "workers were displaced or found their domain gone" 1 10000000 "$(displaced)"
	check "abi-209 the module unloads, so no reference is left" rmmod resctrl
fi
finish
