#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Renaming and moving: only monitoring groups, only to folders of such; what goes with them and what stays.
# needs: x86 l3.cat mbm_total_bytes !abmc mon.power_of_two nodes=1 cpus>=4
# machines: intel
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl debug >/dev/null
mkdir $M/p0 $M/p1 $M/p0/mon_groups/m0
mon=$M/p0/mon_groups
move() {
	Ws rename "$@"
}
accepted "a task of the group" $M/p0/tasks $$
accepted "and of its monitoring group" $mon/m0/tasks $$
rmid=$(cat $mon/m0/mon_hw_id)
rdt-traffic add 0 "$rmid" mbm_total_bytes 5M

is "abi-128 a new name in the same folder" ok "$(move $mon/m0 $mon/m1)"
is "abi-128 the old name is gone, the new one is there" "m1" "$(ls $mon | xargs)"
is "abi-128 nothing else changes" "$rmid yes $((5 << 20))" \
	"$(cat $mon/m1/mon_hw_id) $(grep -qx $$ $mon/m1/tasks && echo yes) $(cat $mon/m1/mon_data/mon_L3_00/mbm_total_bytes)"
is "abi-128 its own name" ok "$(move $mon/m1 $mon/m1)"
is "abi-299 a name with a newline is refused, as by mkdir" EINVAL "$(move $mon/m1 "$mon/a\\nb")"
# The kernel's own has taken it.
[ -d $mon/m1 ] || move "$mon/a\\nb" $mon/m1 >/dev/null

is "abi-129 it moves to another group" ok "$(move $mon/m1 $M/p1/mon_groups/m2)"
is "abi-129 with its id and its counts" "$rmid $((5 << 20))" \
	"$(cat $M/p1/mon_groups/m2/mon_hw_id) $(cat $M/p1/mon_groups/m2/mon_data/mon_L3_00/mbm_total_bytes)"
is "abi-129 its tasks are the new parent's" "yes no" \
	"$(grep -qx $$ $M/p1/tasks && echo yes) $(grep -qx $$ $M/p0/tasks && echo yes || echo no)"
is "abi-129 and run with the new parent's class" "$rmid $(cat $M/p1/ctrl_hw_id)" "$(taskset 1 rdt-traffic assoc 0)"
is "abi-129 to root's folder" ok "$(move $M/p1/mon_groups/m2 $M/mon_groups/m2)"
is "abi-129 and back" ok "$(move $M/mon_groups/m2 $M/p1/mon_groups/m2)"

mon=$M/p1/mon_groups
accepted "CPUs for the parent" $M/p1/cpus_list 2-3
accepted "and one for the monitoring group" $mon/m2/cpus_list 3
is "abi-130 with CPUs it cannot move" "EPERM, Cannot move a MON group that monitors CPUs" \
	"$(move $mon/m2 $M/p0/mon_groups/m2), $(lcs)"
is "abi-130 but be renamed" "ok, 3" "$(move $mon/m2 $mon/m3), $(cat $mon/m3/cpus_list)"
is "abi-131 a control group" "EPERM, Source must be a MON group" "$(move $M/p0 $M/p9), $(lcs)"
is "abi-131 not into a folder for monitoring groups either" "EPERM, Source must be a MON group" \
	"$(move $M/p0 $mon/p0), $(lcs)"
is "abi-131 the folder of monitoring groups" "EPERM, Source must be a MON group" "$(move $mon $M/p0/x), $(lcs)"
for place in $M/m3 $M/p0/m3 $M/mon_data/m3; do
	is "abi-132 to ${place#"$M"}" "EPERM, Destination must be a mon_groups subdirectory" "$(move $mon/m3 $place), $(lcs)"
done
is "abi-132 to the name mon_groups" "EPERM, Destination must be a mon_groups subdirectory" \
	"$(move $mon/m3 $M/p0/mon_groups/mon_groups), $(lcs)"
is "abi-132 to info" ENOENT "$(move $mon/m3 $M/info/m3)"
is "abi-132 from info" ENOENT "$(move $M/info/L3 $mon/L3)"
mkdir $mon/m4
is "abi-133 to a name that exists" EEXIST "$(move $mon/m4 $mon/m3)"
is "abi-133 also in another folder" "ok EEXIST" "$(Ws mkdir $M/p0/mon_groups/m4) $(move $mon/m4 $M/p0/mon_groups/m4)"
for flag in noreplace exchange; do
	target=$mon/m9
	[ $flag = noreplace ] || target=$mon/m3
	is "abi-133 the flag $flag" EINVAL "$(move $mon/m4 $target $flag)"
done
is "abi-134 a file" "EPERM" "$(move $M/p0/tasks $M/p0/mon_groups/tasks)"
is "abi-134 the status says why" "Source and destination must be directories" "$(lcs)"
is "abi-301 with a newline at its end" "Source and destination must be directories
." "$(cat $M/info/last_cmd_status; echo .)"

exec 5<$mon/m4/tasks
is "an open file follows its group" "ok ok" "$(move $mon/m4 $M/p0/mon_groups/m5) $(errno cat <&5)"
exec 5<&-
umount_resctrl
finish
