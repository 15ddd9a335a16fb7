#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Every allocation of an operation fails once; it says so, changes nothing, and works the next time.
# kernels: debug
# impl: rust
# guest: own
# timeout: 150
#
# The kernel lets the n-th allocation of a task fail (/proc/PID/fail-nth). Only those count that are made by
# resctrl.ko or on its behalf: its code must be on the stack. So an operation is done again and again, with its
# first allocation failing, then its second, until it makes no more. Bringing a CPU online happens in a thread of
# that CPU. What is lost in this scenario is found by the scan for leaks at its end.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

F=/sys/kernel/debug/failslab
[ -d $F ] || skip "this kernel has no failslab"

text=$(cat /sys/module/resctrl/sections/.text)
echo $((text)) >$F/require-start
echo $((text + $(cat /sys/module/resctrl/coresize))) >$F/require-end
# Allocations that may sleep fail, too, and nothing is said about it on the console.
echo N >$F/ignore-gfp-wait
echo 0 >$F/verbose

# arm: so that `injected` tells about what comes now.
arm() {
	echo 1 >$F/times
}
injected() {
	[ "$(cat $F/times)" = 0 ]
}

# state: all that an operation that failed may not have changed.
state() {
	ls -R $M 2>&1
	cat $M/schemata $M/g/schemata $M/g/tasks $M/g/cpus_list 2>&1
	cat /sys/devices/system/cpu/online
}

# The operation under test, and what takes it back if it succeeded.
attempt() {
	# The shell becomes the program, so the count goes on in it.
	errno sh -c 'echo $0 >/proc/self/fail-nth && exec "$@"' "$nth" $operation
}
attempt_online() {
	echo "$nth" >"/proc/$thread/fail-nth"
	W "/sys/devices/system/cpu/cpu$first/online" 1
	echo 0 >"/proc/$thread/fail-nth"
}

# every NAME ATTEMPT UNDO: two checks, and a count.
every() {
	nth=0
	refused=0
	wrong=
	before=$(state)
	while [ $nth -lt 500 ]; do
		nth=$((nth + 1))
		arm
		outcome=$($2)
		if ! injected; then
			break
		elif [ "$outcome" = ENOMEM ]; then
			refused=$((refused + 1))
			[ "$(state)" = "$before" ] || wrong="$wrong $nth:changed"
		elif [ "$outcome" = ok ]; then
			# It can do without that one.
			$3
		else
			wrong="$wrong $nth:$outcome"
		fi
	done
	echo "# stat $1_allocations $((nth - 1))"
	echo "# stat $1_refusals $refused"
	is "$1: every failed allocation gives ENOMEM and changes nothing" "" "$wrong"
	is "$1: with none left to fail it succeeds" ok "$outcome"
	$3
	is "$1: all is as it was" "$before" "$(state)"
}

nothing() {
	:
}
unmount() {
	umount $M
}
remove_group() {
	rmdir $M/n
}
remove_monitor() {
	rmdir $M/g/mon_groups/n
}
full_schemata() {
	echo "L3:0=$L3_MASK;1=$L3_MASK" >$M/g/schemata
}
take_back_task() {
	echo $$ >$M/tasks
}
take_back_cpu() {
	echo 1 >$M/cpus_list
}
leave_again() {
	offline "$first"
}

operation="resctrl-sys mount resctrl $M resctrl"
every mount attempt unmount

is "it mounts" ok "$(mount_resctrl)"
mkdir $M/g
operation="resctrl-sys mkdir $M/n"
every mkdir attempt remove_group
operation="resctrl-sys mkdir $M/g/mon_groups/n"
every mkdir_monitor attempt remove_monitor
operation="resctrl-sys write $M/g/schemata L3:0=f;1=f\\nMB:0=50\\n"
every schemata attempt full_schemata
operation="resctrl-sys write $M/g/tasks $$"
every tasks attempt take_back_task
operation="resctrl-sys write $M/g/cpus_list 1"
every cpus attempt take_back_cpu
operation="resctrl-sys read $M/mon_data/mon_L3_01/llc_occupancy"
every read_counter attempt nothing
operation="resctrl-sys read $M/g/schemata"
every read_schemata attempt nothing
operation="ls -l $M/g/mon_data/mon_L3_00"
every list attempt nothing

domain=$((L3_DOMAINS - 1))
first=$(first_cpu $domain)
thread=$(pgrep "^cpuhp/$first\$")
for cpu in $(cpus_of $domain); do offline "$cpu"; done
every online attempt_online leave_again
for cpu in $(cpus_of $domain); do online "$cpu"; done

echo 0 >$F/require-start
is "the domain is back" "$domain" "$(domains L3 g | tail -n 1)"
rdt-traffic add $domain 0 mbm_total_bytes 1M
is "abi-190 bandwidth counts" 1048576 "$(cat $M/mon_data/mon_L3_0$domain/mbm_total_bytes)"
rmdir $M/g
made=0
while [ $made -lt 1000 ] && mkdir $M/mon_groups/g$made 2>/dev/null; do made=$((made + 1)); done
is "no monitoring id is lost" $((RMIDS - 1)) $made
umount_resctrl
check "the module unloads, so no reference is left" rmmod resctrl
finish
