#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Groups: making and removing them, names, contents, limits.
# needs: l3.cat l3.bits>=12 l3.shared l3.closids>=5 l3.closids<=100 l3.first_id=0 !l2.cat mb mb.closids>=5 monitoring mon_groups>=2 nodes=1
# machines: intel intel-big amd amd-abmc mpam mpam-narrow mpam-few-monitors
# snapshot: group
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
resctrl-sys mkdir $M/p0 750
mkdir $M/p0/mon_groups/m0
(cd $M/p0 && find . -exec stat -c '%A %n' {} \; | sort -k 2) | snapshot group

has_assignment && assignments="mbm_L3_assignments " || assignments=
is "abi-115 files of a control group" "cpus cpus_list ${assignments}mode mon_data mon_groups schemata size tasks" "$(ls $M/p0 | xargs)"
is "abi-115 files of a monitoring group" "cpus cpus_list ${assignments}mon_data tasks" "$(ls $M/p0/mon_groups/m0 | xargs)"
is "abi-135 the mode is honoured and passed on" "750 750 750" "$(stat -c %a $M/p0 $M/p0/mon_groups $M/p0/mon_data | xargs)"
is "abi-116 mkdir inside a group" EPERM "$(Ws mkdir $M/p0/x)"
is "abi-116 mkdir in mon_data" EPERM "$(Ws mkdir $M/mon_data/x)"
is "abi-116 mkdir in mon_data's folders" EPERM "$(Ws mkdir $M/mon_data/mon_L3_00/x)"
is "abi-116 mkdir in info" ENODEV "$(Ws mkdir $M/info/x)"
for dir in info info/L3_MON $([ -d $M/info/L3_MON/event_configs ] && echo info/L3_MON/event_configs); do
	is "abi-116 mkdir in $dir" ENODEV "$(Ws mkdir $M/$dir/x)"
	is "abi-127 rmdir of it" EPERM "$(errno rmdir $M/$dir)"
done
event=info/L3_MON/event_configs/mbm_total_bytes
refuses="abi-116 the folder of an event refuses a group as a group does"
# The kernel's own takes what the folder belongs to for a group. On Arm that is the number of an event, and it crashes; on x86 a
# description of it, where it depends on what comes after whether it crashes. Debian's kernel does not.
case $IMPL,$ARCH,$(uname -r) in
kernel,arm64,* | kernel,*,*-debug | kernel,*,*-gcov | kernel,*,*-kcsan) crashes=yes ;;
*) crashes= ;;
esac
if [ -d $M/$event ] && [ -n "$crashes" ]; then
	fail "$refuses" "not tried"
elif [ -d $M/$event ]; then
	is "$refuses" EPERM "$(Ws mkdir $M/$event/x)"
fi
is "abi-116 mkdir in a monitoring group" EPERM "$(Ws mkdir $M/p0/mon_groups/m0/x)"
is "abi-117 a monitoring group called mon_groups" EPERM "$(Ws mkdir $M/mon_groups/mon_groups)"
is "abi-118 a newline in the name" EINVAL "$(Ws mkdir "$M/a\\nb")"
is "abi-119 a name that exists" EEXIST "$(Ws mkdir $M/p0)"
for name in info tasks mon_data schemata; do
	is "abi-119 the name $name" EEXIST "$(Ws mkdir $M/$name)"
done
is "a name with blanks and punctuation" ok "$(Ws mkdir "$M/a b:c;d=e")"
is "it can be removed" ok "$(errno rmdir "$M/a b:c;d=e")"
for length in 255 256 1000; do
	name=$(printf "%0${length}d" 0)
	is "a name of $length bytes" "ok $length ok" \
		"$(Ws mkdir $M/$name) $(find $M -maxdepth 1 -name '0*' | awk -F/ '{ print length($NF) }') $(errno rmdir $M/$name)"
done
is "mkdir clears the status" ok "$(W $M/tasks x >/dev/null; mkdir $M/p1; lcs)"

for dir in info mon_groups mon_data mon_data/mon_L3_00 p0/mon_groups p0/mon_data; do
	is "abi-127 rmdir of $dir" EPERM "$(errno rmdir $M/$dir)"
done
is "abi-127 rmdir of a file" ENOTDIR "$(errno rmdir $M/tasks)"
mkdir $M/p1/mon_groups/m1 $M/p1/mon_groups/m2
exec 5<$M/p1/mon_groups/m1/tasks 6<$M/p1/schemata
is "abi-126 a group with monitoring groups and open files is removed" ok "$(errno rmdir $M/p1)"
is "abi-126 its descriptors are stale" "ENODEV ENODEV" "$(errno_of "$(cat <&5 2>&1)") $(errno_of "$(cat <&6 2>&1)")"
exec 5<&- 6<&-
rmdir $M/p0

limit=$L3_CLOSIDS
[ "$MB_CLOSIDS" -lt "$limit" ] && limit=$MB_CLOSIDS
made=0
while [ $made -lt 100 ] && result=$(Ws mkdir $M/g$made) && [ "$result" = ok ]; do
	made=$((made + 1))
done
is "abi-120 groups until classes of service run out" "$((limit - 1)), ENOSPC, Out of CLOSIDs" "$made, $result, $(lcs)"
is "abi-120 no directory remains" "no" "$([ -e $M/g$made ] && echo yes || echo no)"
rmdir $M/g3
is "a class that was freed is used again" ok "$(Ws mkdir $M/again)"
rmdir $M/again $M/g*

umount_resctrl
# On Arm the monitoring ids of those groups must be out of limbo: they belong to a class, and the cleanest class wins.
[ "$ARCH" != arm64 ] || sleep 2.5
mount_resctrl debug >/dev/null
mkdir $M/p0 $M/p1 $M/p2
is "abi-203 the lowest class first" "1 2 3" "$(cat $M/p0/ctrl_hw_id $M/p1/ctrl_hw_id $M/p2/ctrl_hw_id | xargs)"
rmdir $M/p1
mkdir $M/p3
if [ "$ARCH" = arm64 ]; then
	# The monitoring ids of class 2 have yet to be found clean.
	is "abi-231 the lowest free one that is clean" 4 "$(cat $M/p3/ctrl_hw_id)"
else
	is "abi-203 the lowest free one" 2 "$(cat $M/p3/ctrl_hw_id)"
fi
mkdir $M/mon_groups/m0
is "abi-202 a monitoring group has only mon_hw_id" "mon_hw_id" "$(cd $M/mon_groups/m0 && ls -d *_hw_id | xargs)"
umount_resctrl

# Where all bits are shareable none can be taken from others.
[ "$L3_SHAREABLE" = "$L3_MASK" ] && finish

mount_resctrl >/dev/null
accepted "nothing is left for others" $M/schemata "$(seq 0 $((L3_DOMAINS - 1)) | sed 's/$/=3ff/' | xargs | tr ' ' ';' | sed 's/^/L3:/')"
is "abi-124 root is exclusive" ok "$(Wn $M/mode exclusive)"
result=$(Ws mkdir $M/full)
case $L3_SHAREABLE in
c00) is "abi-123 a new group gets what the hardware shares" "ok c00" "$result $(value L3 0 full)" ;;
*) is "abi-123 a new group gets what is left" ok "$result" ;;
esac
umount_resctrl
finish
