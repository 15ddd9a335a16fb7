#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The context switch is watched while something is mounted, and by every CPU before the mount returns.
# needs: x86 resctrl !errata
# machines: intel
# impl: rust
# guest: waits

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

T=/sys/kernel/tracing
# asked: the CPUs that have been asked since the trace was emptied.
asked() {
	awk '/ asked: / { match($0, /\[[0-9]+\]/); print substr($0, RSTART + 1, RLENGTH - 2) + 0 }' $T/trace | sort -n | xargs
}

# What another scenario has unmounted is watched for a while longer.
sleep 0.5
echo 'p:asked resctrl:see_current' >$T/kprobe_events
echo 1 >$T/events/kprobes/asked/enable
echo >$T/trace
mount_resctrl >/dev/null
is "abi-275 a mount does not return before every CPU tells of its switches" "$(seq 0 $((CPUS - 1)) | xargs)" "$(asked)"
echo >$T/trace
umount_resctrl
mount_resctrl >/dev/null
is "who mounts again soon finds it as it was" "" "$(asked)"
umount_resctrl
sleep 0.5
mount_resctrl >/dev/null
is "later it is begun anew" "$(seq 0 $((CPUS - 1)) | xargs)" "$(asked)"
umount_resctrl
echo 0 >$T/events/kprobes/asked/enable
: >$T/kprobe_events
finish
