#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What must not wait while a command takes its time: whoever lists the mounts of the machine.
# needs: x86 mbm_total_bytes cpus>=4 l3.cpus>=2
# machines: intel amd
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
# One CPU of domain 0 reads a counter that takes its time, and holds the mutex of all commands meanwhile. All else is
# elsewhere: that CPU does nothing else until it has its answer.
taskset -p c $$ >/dev/null
rm -f /tmp/slow /tmp/waits
rdt-traffic slow-read 2000
(taskset 2 cat $M/mon_data/mon_L3_00/mbm_total_bytes >/tmp/slow.out; touch /tmp/slow) &
slow=$!
sleep 0.5
(cat $M/mode >/dev/null; touch /tmp/waits) &
waits=$!
sleep 0.3
is "abi-277 who lists the mounts does not wait for a command" "resctrl resctrl" \
	"$(grep -h " $M resctrl " /proc/mounts | cut -d' ' -f3) $(grep " $M " /proc/self/mountinfo | sed 's/.* - //' | cut -d' ' -f1)"
is "nor who asks for the room in it" "0" "$(stat -f -c %b $M)"
is "the command still went on, and another waited for it" "no no" \
	"$([ -e /tmp/slow ] && echo yes || echo no) $([ -e /tmp/waits ] && echo yes || echo no)"
wait $slow $waits
is "both came to an end" "yes yes" \
	"$([ -e /tmp/slow ] && echo yes || echo no) $([ -e /tmp/waits ] && echo yes || echo no)"
umount_resctrl
finish
