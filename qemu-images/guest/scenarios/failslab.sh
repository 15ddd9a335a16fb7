#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An allocation of an operation fails; it says so, changes nothing, and works the next time.
# needs: x86 l3.cat l3.min_bits<=1 mb llc_occupancy mbm_total_bytes !abmc nodes=1 l3.domains=2
# machines: intel
# kernels: debug
# impl: rust
# append: slab_nomerge
# timeout: 150
#
# The kernel lets allocations of a marked task fail (/proc/PID/make-it-fail). Only those count that are made by
# resctrl.ko or on its behalf: its code must be on the stack. So an operation is done again and again, with its first
# allocation failing, then a later one, until it makes no more: after so many bytes (`space`). Two fail in a row, because
# where memory is resized, kvrealloc() tries twice. Not each one has its turn here, but each has in the simulated kernel
# (resctrl-fs/tests/schedules/faults.rs). Bringing a CPU online happens in a thread of that CPU. What is lost in this scenario is found by the scan for leaks at its end.

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

F=/sys/kernel/debug/failslab
[ -d $F ] || skip "this kernel has no failslab"

text=$(cat /sys/module/resctrl/sections/.text)
echo "$text" >$F/require-start
printf '0x%x\n' $((text + $(cat /sys/module/resctrl/coresize))) >$F/require-end
# Allocations that may sleep fail, too, and nothing is said about it on the console.
echo N >$F/ignore-gfp-wait
echo 0 >$F/verbose
echo Y >$F/task-filter
# kmemleak and the object checks allocate along with everything else, and can do without.
for cache in /sys/kernel/slab/*; do
	case ${cache##*/} in
	kmemleak* | debug_objects*) ;;
	# Some refuse; the checks that operations were refused say whether it was for the right ones.
	*) echo 1 >"$cache/failslab" ;;
	esac
done 2>/dev/null
echo Y >$F/cache-filter
echo 0 >$F/times
echo 100 >$F/probability

# injected ATTEMPT: makes it, with its outcome in $outcome; says whether an allocation failed.
injected() {
	echo $space >$F/space
	echo 2 >$F/times
	outcome=$($1)
	left=$(cat $F/times)
	echo 0 >$F/times
	[ "$left" -lt 2 ]
}

# state: all that an operation that failed may not have changed.
state() {
	ls -R $M 2>&1
	cat $M/schemata $M/g/schemata $M/g/tasks $M/g/cpus_list 2>&1
	cat /sys/devices/system/cpu/online
}

# The operation under test, and what takes it back if it succeeded.
attempt() {
	# The shell becomes the program, and stays marked.
	errno sh -c 'echo 1 >/proc/self/make-it-fail && exec "$@"' sh $operation
}
attempt_online() {
	echo 1 >"${thread%/comm}/make-it-fail"
	brought=$(W "/sys/devices/system/cpu/cpu$first/online" 1)
	echo 0 >"${thread%/comm}/make-it-fail"
	if [ "$brought" = ok ] && ! { domains L3 | grep -qx $domain && [ -d $M/mon_data/mon_L3_0$domain ]; }; then
		leave_again
		brought="no domain"
	fi
	echo "$brought"
}

# Another errno for want of memory, where there is one, is in $documented.
# every NAME ATTEMPT UNDO: the checks of an operation, and counts.
every() {
	space=0
	tried=0
	refused=0
	wrong=
	before=$(state)
	while injected "$2" && [ $tried -lt 1000 ]; do
		tried=$((tried + 1))
		if [ "$outcome" = ENOMEM ] || [ "$outcome" = "$documented" ]; then
			refused=$((refused + 1))
			[ "$(state)" = "$before" ] || wrong="$wrong $space:changed"
		elif [ "$outcome" = ok ]; then
			# It can do without that one.
			$3
		else
			wrong="$wrong $space:$outcome"
		fi
		space=$((space + 32 + space / 2))
	done
	echo "# stat $1_failed_allocations $tried"
	echo "# stat $1_refusals $refused"
	between "$1: it was refused for want of memory" 1 1000 $refused
	is "$1: it says ENOMEM${documented:+ or $documented} then, and changes nothing" "" "$wrong"
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
	printf 'L3:0=%s;1=%s\nMB:0=100\n' "$L3_MASK" "$L3_MASK" >$M/g/schemata
}
take_back_task() {
	echo $$ >$M/tasks
}
take_back_cpu() {
	echo >$M/g/cpus_list
}
leave_again() {
	offline "$first"
}

documented=
operation="resctrl-sys mount resctrl $M resctrl"
every mount attempt unmount

is "it mounts" ok "$(mount_resctrl)"
mkdir $M/g
# The group itself: "Kernel out of memory", and this errno.
documented=ENOSPC
operation="resctrl-sys mkdir $M/n"
every mkdir attempt remove_group
operation="resctrl-sys mkdir $M/g/mon_groups/n"
every mkdir_monitor attempt remove_monitor
documented=
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

domain=$((L3_DOMAINS - 1))
first=$(first_cpu $domain)
thread=$(grep -lx "cpuhp/$first" /proc/[0-9]*/comm)
for cpu in $(cpus_of $domain); do offline "$cpu"; done
# The CPU comes without its domain, or a part of it; when it comes again it has all.
documented="no domain"
every online attempt_online leave_again
for cpu in $(cpus_of $domain); do online "$cpu"; done

echo 0 >$F/probability
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
