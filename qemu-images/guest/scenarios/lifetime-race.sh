#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A domain goes just when its overflow worker is due; whoever still uses it then reads poison.
# needs: x86 l3.cat mbm_total_bytes !abmc nodes=1 l3.cpus=2 l3.domains>=2 l3.domains<=10
# machines: intel
# seconds: RACE_SECONDS=20
# run: asked
# timeout: 180
# append: slab_debug=FZPU slub_debug=FZPU
# fault: stable kernel general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b; Workqueue: events mbm_handle_overflow
#
# The first CPU of the domain leaves, and the worker is on the second, to run in one second. Nearly a second
# later that leaves too: the worker becomes due while the hotplug lock is held for writing, waits for the
# lock, and gets it when the domain has been freed. The sleep is what matters: a domain that lives shorter than
# the worker's period is never met. Freed memory is filled with 0x6b (slab_debug; older kernels call it
# slub_debug), so that a use of it is an address that no processor accepts.
#
# A cycle takes a second and a half. On a busy host it takes longer, but as many are made.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

domain=$((L3_DOMAINS - 1))
first=$(first_cpu $domain)
last=$((first + 1))
stats=/sys/kernel/debug/resctrl/stats

is "it mounts" ok "$(mount_resctrl)"
cycles=0
seconds=${RACE_SECONDS:-20}
ends=$(($(cut -d. -f1 /proc/uptime) + seconds))
while [ $cycles -lt $((seconds * 6 / 10)) ] || [ "$(cut -d. -f1 /proc/uptime)" -lt $ends ]; do
	begin_cycle
	offline "$first"
	sleep 0.9$((RANDOM % 10))
	offline $last
	online "$first"
	online $last
done

is "every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
is "and the domain" "$domain" "$(domains L3 | tail -n 1)"
rdt-traffic add $domain 0 mbm_total_bytes 1M
is "abi-190 bandwidth counts" 1048576 "$(cat $M/mon_data/mon_L3_0$domain/mbm_total_bytes)"
umount_resctrl
if [ "$IMPL" = rust ]; then
	sed 's/^/# stat /' $stats
	number() {
		sed -n "s/^$1 //p" $stats
	}
	# A run in which no worker lost its CPU proves nothing.
	between "workers were displaced or found their domain gone" 1 1000000 \
		$(($(number repicks) + $(number displaced) + $(number dead_domain_runs)))
fi
finish
