#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel at EL2, whose guests have a register of labels of their own: it follows the task, wherever CPUs have been; and
# KVM's own guest.
# machines: mpam-vhe
# guest: own
# timeout: 120

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

# Every CPU, at EL0, EL1 and EL2.
all_default=$(for cpu in $(seq 0 $((CPUS - 1))); do echo "0/0 0/0 0/0"; done)
labels() {
	for labels_cpu in $(seq 0 $((CPUS - 1))); do msc labels "$labels_cpu"; done
}
errors() {
	{ msc error 0 && msc error 1; } | cut -d' ' -f1 | sort -u | xargs
}
is "KVM is there" yes "$([ -c /dev/kvm ] && echo yes)"
is "abi-291 nothing is said to be out of reach" "" "$(dmesg | grep 'runs at EL1')"
is "abi-285 guests have the default group's labels on every CPU, as programs and the kernel have" "$all_default" "$(labels)"

mount_resctrl debug >/dev/null
mkdir $M/p1 $M/p1/mon_groups/m1
partid=$(cat $M/p1/ctrl_hw_id)
own=$partid/$(cat $M/p1/mon_groups/m1/mon_hw_id)
group=$partid/$(cat $M/p1/mon_hw_id)
echo 1 >$M/p1/cpus_list
is "abi-285 a CPU's group is that of its guests" "$group $group $group" "$(within 2 "$group $group $group" msc labels 1)"
resctrl-sys spin 2 100 &
spinner=$!
echo $spinner >$M/p1/tasks
echo $spinner >$M/p1/mon_groups/m1/tasks
is "abi-285 and a task's group that of its guests" "$own $own $own" "$(within 2 "$own $own $own" msc labels 2)"
is "other CPUs have theirs" "0/0 0/0 0/0" "$(msc labels 3)"

total() {
	cat "$M/$1/mon_data/mon_L3_00/mbm_total_bytes"
}
before=$(total p1/mon_groups/m1)
msc guest-move 2 1048576
is "abi-285 what a guest's kernel moves counts for the group" 1048576 $(($(total p1/mon_groups/m1) - before))
kill $spinner
wait $spinner 2>/dev/null

# CPUs that come and go. One that is off has lost what its registers held.
msc power-cycle 1
is "a register that nobody has written is out of range" "63/3" "$(msc labels 1 | cut -d' ' -f2)"
offline 1
online 1
is "abi-286 a CPU that comes has the default group's labels for guests" "0/0 0/0 0/0" \
	"$(within 2 "0/0 0/0 0/0" msc labels 1)"
echo 0 >$M/p1/cpus_list
is "CPU 0 is p1's" "$group $group $group" "$(within 2 "$group $group $group" msc labels 0)"
msc power-cycle 0
sleep 0.3
is "an image of the memory is made" ok "$(Ws image)"
is "abi-286 power management gives a CPU its guests' labels back" "$group $group $group" "$(msc labels 0)"
for cpu in $(seq 0 $((CPUS - 1))); do
	msc guest-move "$cpu" 64
done
is "abi-286 no guest on any CPU makes an error" "0x0" "$(errors)"
like "and resctrl goes on" "*resctrl*" "$(cat /proc/filesystems)"

# KVM's own guest, of a few instructions.
before=$(total p1)
is "abi-292 the kernel of KVM's guest runs at EL1 with the labels of the group" "$group EL1" \
	"$(as_member p1 kvm-guest move 1M 2>&1)"
is "abi-292 and what it moves counts for it" 1048576 $(($(total p1) - before))
# CPU 3 is in no other group.
is "abi-292 of the default group it has that's" "0/0 EL1" "$(as_member . taskset 8 kvm-guest move 1M 2>&1)"
is "abi-290 it cannot choose another" undefined "$(as_member p1 kvm-guest choose 0x50005 2>&1)"
is "no access was an error to the hardware" 0 "$(msc error 0 | cut -d' ' -f3)"
umount_resctrl
is "abi-285 without a mount everybody is in the default group" "$all_default" "$(within 2 "$all_default" labels)"
finish
