#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Pseudo-locking: what a group must be for it, what it is meanwhile and after, its device, its measurements, its end.
# needs: pseudo_lock l3.cdp l3.bits=12 l3.shared mb monitoring l3.domains=2 l3.cpus=2

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/msr.sh

DEBUG=/sys/kernel/debug/resctrl
TRACE=/sys/kernel/tracing
MISC_FEATURE_CONTROL=$((0x1a4))
L3_WAY=$((L3_SIZE / 12))

# modes FILE...: permission bits of files of p0, joined by blanks.
modes() {
	for modes_file; do
		stat -c %a "$M/p0/$modes_file"
	done | xargs
}
setup() {
	mkdir $M/p0
	Wn $M/p0/mode pseudo-locksetup >/dev/null
}
usage() {
	tr ';' '\n' <$M/info/L3/bit_usage | sed -n "s/^$1=//p"
}

# With code and data apart there is no part of the cache to lock.
mount_resctrl cdp >/dev/null
mkdir $M/p0
refused "abi-176 with CDP" EINVAL "CDP enabled" $M/p0/mode pseudo-locksetup
umount_resctrl

mount_resctrl debug >/dev/null
refused "abi-176 the default group" EINVAL "Cannot pseudo-lock default group" $M/mode pseudo-locksetup
Wn $M/schemata "L3:0=3f0;1=3f0" >/dev/null

# A group that is used.
mkdir $M/p0 $M/p0/mon_groups/m
Wn $M/p0/cpus_list 1 >/dev/null
sleep 1000 &
sleeper=$!
Wn $M/p0/tasks $sleeper >/dev/null
refused "abi-177 a group with monitor groups" EINVAL "Monitoring in progress" $M/p0/mode pseudo-locksetup
rmdir $M/p0/mon_groups/m
refused "abi-177 a group with tasks" EINVAL "Tasks assigned to resource group" $M/p0/mode pseudo-locksetup
Wn $M/tasks $sleeper >/dev/null
kill $sleeper
refused "abi-177 a group with CPUs" EINVAL "CPUs assigned to resource group" $M/p0/mode pseudo-locksetup
Wn $M/p0/cpus_list "" >/dev/null

# Setting up.
accepted "abi-178 a group of nobody can set a region up" $M/p0/mode pseudo-locksetup
is "abi-178 it says so" pseudo-locksetup "$(cat $M/p0/mode)"
is "abi-178 nothing is set up yet" "MB:uninitialized L3:uninitialized" "$(xargs <$M/p0/schemata)"
is "abi-178 of no size" "MB:0=0;1=0 L3:0=0;1=0" "$(sed 's/^ *//' $M/p0/size | xargs)"
is "abi-178 nobody can use it" "0 0 0 0" "$(modes tasks cpus cpus_list mon_groups)"
is "abi-178 not even root" EACCES "$(R $M/p0/tasks)"
refused "abi-179 bandwidth" EINVAL "Cannot pseudo-lock MBA resource" $M/p0/schemata "MB:0=50"
refused "abi-180 what others use" EINVAL "Overlaps with other group" $M/p0/schemata "L3:0=10"
refused "abi-180 what the hardware uses" EINVAL "Overlaps with other group" $M/p0/schemata "L3:0=400"
Wn $M/schemata "L3:0=200" >/dev/null
refused "more than one allocation" E2BIG "Requested region exceeds maximum size" $M/p0/schemata "L3:0=1ff"
accepted "abi-187 leaving, with what was programmed" $M/p0/mode shareable
accepted "its part of the cache" $M/p0/schemata "L3:0=f"
accepted "root takes the rest back" $M/schemata "L3:0=3f0"
accepted "abi-178 and setting up again" $M/p0/mode pseudo-locksetup
is "it still sets up" pseudo-locksetup "$(cat $M/p0/mode)"
accepted "abi-187 leaving" $M/p0/mode shareable
is "abi-187 gives the modes back" "644 644 644 755" "$(modes tasks cpus cpus_list mon_groups)"
check "abi-187 and an RMID" test -e $M/p0/mon_hw_id
accepted "abi-187 tasks can be in it again" $M/p0/tasks $$
Wn $M/tasks $$ >/dev/null
accepted "abi-178 once more" $M/p0/mode pseudo-locksetup

# Locked.
closid=$(cat $M/p0/ctrl_hw_id)
accepted "abi-181 the mask of the region" $M/p0/schemata "L3:0=1"
is "abi-181 the mode" pseudo-locked "$(cat $M/p0/mode)"
is "abi-181 where" "L3:0=1" "$(cat $M/p0/schemata)"
is "abi-181 how large" "L3:0=$L3_WAY" "$(sed 's/^ *//' $M/p0/size)"
is "abi-181 the CPUs of the domain" "0-1" "$(cat $M/p0/cpus_list)"
is "abi-181 which can be read" "0 444 444 0" "$(modes tasks cpus cpus_list mon_groups)"
is "abi-181 a device for root alone" "600 character special file" "$(stat -c '%a %F' /dev/pseudo_lock/p0)"
is "abi-181 a file to measure" 200 "$(stat -c %a $DEBUG/p0/pseudo_lock_measure)"
like "abi-42 bit_usage shows P" "*P" "$(usage 0)"
is "the register that prefetchers are turned off with is as it was" 0x0 "$(msr read 0 $MISC_FEATURE_CONTROL)"
is "the CPU is the default group's again" "0 0" "$(pqr 0)"
mkdir $M/p1
is "the CLOSID is free for the next group" "$closid" "$(cat $M/p1/ctrl_hw_id)"
is "abi-123 a new group gets nothing of it" 0 $((0x$(value L3 0 p1) & 1))
refused "a mask over it" EINVAL "CBM overlaps with pseudo-locked region" $M/schemata "L3:0=3ff"
refused "abi-182 another mask" EINVAL "Resource group is pseudo-locked" $M/p0/schemata "L3:0=2"
refused "abi-182 another mode" EINVAL "Cannot change pseudo-locked group" $M/p0/mode shareable
accepted "abi-182 the same mode" $M/p0/mode pseudo-locked
chmod 644 $M/p0/tasks
chmod 755 $M/p0/mon_groups
refused "abi-182 tasks" EINVAL "Pseudo-locking in progress" $M/p0/tasks $$
is "abi-182 monitor groups" EINVAL "$(errno mkdir $M/p0/mon_groups/m)"
is "abi-182 of which the status says" "Pseudo-locking in progress" "$(lcs)"
Wn $M/p1/mode pseudo-locksetup >/dev/null
refused "abi-183 a second region for its CPUs" EINVAL "Pseudo-locked region in hierarchy" $M/p1/schemata "L3:0=2"
accepted "abi-183 but for others" $M/p1/schemata "L3:1=2"
rmdir $M/p1

# The device.
device() {
	errno resctrl-sys map "$@"
}
is "abi-184 mapped by who stays there" ok "$(device 0-1 /dev/pseudo_lock/p0 shared 0 $L3_WAY)"
is "abi-184 private" EINVAL "$(device 0-1 /dev/pseudo_lock/p0 private 0 4096)"
is "abi-184 too long" ENOSPC "$(device 0-1 /dev/pseudo_lock/p0 shared 0 $((L3_WAY + 4096)))"
is "abi-184 beyond the end" ENOSPC "$(device 0-1 /dev/pseudo_lock/p0 shared $((L3_WAY + 4096)) 4096)"
is "abi-184 by who can run elsewhere" EINVAL "$(device 0-2 /dev/pseudo_lock/p0 shared 0 4096)"
is "abi-184 remapped" EINVAL "$(device 0-1 /dev/pseudo_lock/p0 shared 0 4096 remap)"

# Measuring.
echo 0 >$TRACE/tracing_on
echo >$TRACE/trace
echo 1 >$TRACE/events/resctrl/enable
echo 1 >$TRACE/tracing_on
for what in 1 2 3; do
	is "abi-186 measurement $what" ok "$(Wn $DEBUG/p0/pseudo_lock_measure $what)"
done
for what in 0 4 x ""; do
	is "abi-186 measurement '$what'" EINVAL "$(Wn $DEBUG/p0/pseudo_lock_measure "$what")"
done
echo 0 >$TRACE/tracing_on
echo 0 >$TRACE/events/resctrl/enable
like "abi-239 latencies are traced" "*pseudo_lock_mem_latency: latency=[0-9]*" "$(grep -m1 latency= $TRACE/trace)"
like "abi-239 and what the L3 answers" "*pseudo_lock_l3: hits=[0-9]* miss=[0-9]*" "$(grep pseudo_lock_l3 $TRACE/trace)"
is "abi-186 of the L2 nothing is known here" "" "$(grep pseudo_lock_l2 $TRACE/trace)"
echo >$TRACE/trace

# The domain goes offline.
mkdir $M/p1
Wn $M/p1/mode pseudo-locksetup >/dev/null
accepted "a region of the other domain" $M/p1/schemata "L3:1=1"
offline 2
offline 3
for file in cpus cpus_list schemata size; do
	is "$file of a region whose domain is offline" ENODEV "$(R $M/p1/$file)"
	is "which the status says" "Cache domain offline" "$(lcs)"
done
online 2
online 3
is "when it is back there is no region" ENODEV "$(R $M/p1/schemata)"
rmdir $M/p1
Wn $M/schemata "L3:1=3f0" >/dev/null

# The end.
rmdir $M/p0
is "abi-185 the device has gone" "" "$(ls /dev/pseudo_lock 2>/dev/null)"
check "abi-185 and the directory" test ! -e $DEBUG/p0
accepted "abi-185 its part of the cache can be used" $M/schemata "L3:0=3ff"
is "abi-185 and shows so" S "$(usage 0 | tail -c 2)"
Wn $M/schemata "L3:0=3f0" >/dev/null
setup
accepted "locked once more" $M/p0/schemata "L3:0=1"
if [ "$IMPL" = kernel ]; then
	# Linux 7.3.4's own does not come back from unmounting with a region: it holds its mutex while it removes the
	# device, whose name nobody can tell without that mutex.
	rmdir $M/p0
fi
umount_resctrl
is "abi-185 unmounting takes it away, too" "" "$(ls /dev/pseudo_lock 2>/dev/null)"
finish
