#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The context switch is watched while there are tasks or CPUs in a group other than the default one: by every CPU before the
# first of them is there, and until a while after the last such group has gone.
# needs: x86 resctrl !errata
# machines: intel
# impl: rust
# lasts: 4

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

T=/sys/kernel/tracing
# who EVENT: the CPUs that it has happened on since the trace was emptied.
who() {
	awk -v event=" $1: " 'index($0, event) { match($0, /\[[0-9]+\]/); print substr($0, RSTART + 1, RLENGTH - 2) + 0 }' $T/trace |
		sort -n | xargs
}
# asked: the CPUs that have been asked, for the first time, whom they run.
asked() { who asked; }
# anew: from here on.
anew() { echo >$T/trace; }

all=$(seq 0 $((CPUS - 1)) | xargs)
# What another scenario has left is watched for a while longer.
sleep 0.5
echo 'p:asked resctrl:see_current' >$T/kprobe_events
echo 'p:ended resctrl:see_nobody' >>$T/kprobe_events
echo 'p:switched resctrl:on_sched_switch' >>$T/kprobe_events
echo 1 >$T/events/kprobes/enable
anew
mount_resctrl >/dev/null
mkdir $M/g $M/mon_groups/m
echo $$ >$M/tasks
sleep 0.1
is "abi-406 while nobody is in another group nobody watches" " / " "$(asked) / $(who switched)"
echo $$ >$M/g/tasks
is "abi-275 nobody is moved before every CPU tells of its switches" "$all" "$(asked)"
sleep 0.1
is "abi-275 and they do" yes "$([ "$(who switched)" ] && echo yes)"
anew
rmdir $M/g
echo $$ >$M/mon_groups/m/tasks
is "there is another group still" "" "$(asked)"
rmdir $M/mon_groups/m
mkdir $M/g
echo 0 >$M/g/cpus_list
is "who gives something to a group again soon finds it as it was" "" "$(asked)"
umount_resctrl
sleep 0.5
is "abi-406 when it ends every CPU runs with the default group's ids" "$all" "$(who ended)"
mount_resctrl >/dev/null
mkdir $M/g
anew
echo 0 >$M/g/cpus_list
is "later it is begun anew" "$all" "$(asked)"
echo 1 >$T/events/msr/write_msr/enable
anew
echo 0-1 >$M/g/cpus_list
is "who traces writes of registers sees ours" yes "$(grep -q 'write_msr: c8f, ' $T/trace && echo yes)"
echo 0 >$T/events/msr/write_msr/enable
umount_resctrl
sleep 0.5
anew
sleep 0.1
is "abi-406 and ends with the mount" "" "$(who switched)"
echo 0 >$T/events/kprobes/enable
: >$T/kprobe_events
finish
