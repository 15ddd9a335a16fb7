#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A domain goes while its worker waits for the mutex, which another domain's worker holds for long.
# needs: x86 l3.cat mbm_total_bytes !abmc nodes=1 l3.cpus=2 l3.domains>=2 l3.domains<=10
# machines: intel
# guest: own
# seconds: RACE_SECONDS=120
# run: asked
# timeout: 240
#
# A worker that has started and not yet got the mutex cannot be cancelled, only be waited for, or be given something to
# live on. To have one in that state when its domain is freed takes two things that are rare: something that holds the mutex
# without the hotplug lock, and a last CPU that takes long to leave. Here counters are slow to read and there are groups to read
# them for, so the workers hold the mutex for most of the time; and grace periods of RCU, of which leaving has several, last a
# second, the time after which a worker comes again. A mutex may be taken by whoever spins for it before one who sleeps for
# it gets it, which is how offline can overtake a worker that came first.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

domain=$((L3_DOMAINS - 1))
first=$(first_cpu $domain)
last=$((first + 1))
rcu=/sys/module/rcutree/parameters/jiffies_till_first_fqs

is "it mounts" ok "$(mount_resctrl)"
for group in 1 2 3 4; do
	mkdir $M/mon_groups/g$group
done
usual=$(cat $rcu)
rm -f /tmp/enough
while [ ! -e /tmp/enough ]; do
	rdt-traffic slow-read 200
	sleep 0.05
done &
slow=$!
cycles=0
seconds=${RACE_SECONDS:-120}
ends=$(($(cut -d. -f1 /proc/uptime) + seconds))
while [ "$(cut -d. -f1 /proc/uptime)" -lt $ends ]; do
	begin_cycle
	offline "$first"
	sleep 0.$((5 + RANDOM % 5))$((RANDOM % 10))
	# It is cut down to a second.
	echo 1000000 >$rcu
	offline $last
	echo "$usual" >$rcu
	online "$first"
	online $last
	# So that both workers run.
	sleep 1.$((RANDOM % 10))
done
touch /tmp/enough
wait $slow

is "every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
is "and the domain" "$domain" "$(domains L3 | tail -n 1)"
rdt-traffic slow-read 0
rdt-traffic add $domain 0 mbm_total_bytes 1M
is "abi-190 bandwidth counts" 1048576 "$(cat $M/mon_data/mon_L3_0$domain/mbm_total_bytes)"
rmdir $M/mon_groups/g*
umount_resctrl
finish
