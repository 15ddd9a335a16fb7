#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The emulation survives that the kernel changes its own code while all CPUs execute it.
# needs: cpus>=2
# machines: intel mpam
# guest: own
# seconds: PATCHING_SECONDS=60
# run: asked
#
# This is about the rig, not about resctrl: mounting changes code as well, once, and that went wrong once in many hundred
# runs. Here it is done dozens of times a second, to what every CPU executes whenever it changes tasks: the statistics of
# the scheduler are turned on and off. On x86, QEMU runs into a breakpoint that is gone every few seconds of this; the plugin
# then helps (qemu-images/plugin/src/x86/breakpoint.rs), and says so in qemu.log beside the console log. The short form, on a busy
# host, may meet none: it is the long one that proves something.

. /rig/lib/check.sh

needs_emulation
switch=/proc/sys/kernel/sched_schedstats

# counted: how often each CPU has changed tasks and woken one, as far as that was counted.
counted() {
	awk '/^cpu/ { print $1, $4, $6, $7 }' /proc/schedstat
}

for cpu in $(seq $((CPUS - 1))); do
	# The inner one is a process of its own, so that there is something to change to.
	(while :; do (:); done) &
	busy="$busy $!"
done
before=$(counted)
changes=0
read -r up _ </proc/uptime
end=$((${up%.*} + ${PATCHING_SECONDS:-60}))
while read -r up _ </proc/uptime && [ "${up%.*}" -lt "$end" ]; do
	for round in 1 2 3 4 5 6 7 8 9 10; do
		echo 1 >$switch
		echo 0 >$switch
	done
	changes=$((changes + 20))
done
echo "# stat code_changes $changes"
after=$(counted)
sleep 0.5
later=$(counted)
# shellcheck disable=SC2086 # a list of processes
kill $busy
between "the kernel changed its code, times" 20 1000000 "$changes"
is "while every CPU executed it: those that counted nothing" "" "$(printf '%s\n' "$before" | grep -xF "$after")"
is "none executes the code that was there before: what is counted now" "$after" "$later"
finish
