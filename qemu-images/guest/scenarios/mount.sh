#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Mounting and unmounting: options, refusals, what is there right after, what stays.
# needs: l3.cat l3.cdp !l2.cdp mb llc_occupancy cpus>=2
# machines: intel intel-big amd amd-abmc mpam mpam-2l3 mpam-ris mpam-narrow mpam-few-monitors mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "abi-1 the file system type is registered" "nodev	resctrl" "$(grep -w resctrl /proc/filesystems)"
is "abi-1 the mount point exists and is empty" "" "$(ls -A $M)"

is "abi-2 it mounts" ok "$(mount_resctrl)"
is "abi-2 statfs has its magic number" 7655821 "$(stat -f -c %t $M)"
is "abi-12 the status is ok after mounting" ok "$(lcs)"
mkdir -p /tmp/other
is "abi-3 a second mount is busy" EBUSY "$(errno mount -t resctrl resctrl /tmp/other)"
is "abi-11 modes of the directories" "555 555 555 555" \
	"$(stat -c %a $M $M/info $M/mon_groups $M/mon_data | xargs)"
is "abi-13 root has every online CPU" "$(cat /sys/devices/system/cpu/online)" "$(cat $M/cpus_list)"
is "abi-13 there is no other group" "" "$(find $M -maxdepth 2 -name tasks ! -path $M/tasks)"
check "abi-14 root lists kernel threads" grep -qx 2 $M/tasks
check "abi-14 root lists this shell" grep -qx $$ $M/tasks
is "abi-14 pid 0 is not listed" "" "$(grep -x 0 $M/tasks)"

is "abi-10 remounting with debug succeeds" ok "$(errno mount -o remount,debug $M)"
is "abi-10 and changes nothing" "no" "$([ -e $M/ctrl_hw_id ] && echo yes || echo no)"
is "abi-127 the root cannot be removed" EBUSY "$(errno rmdir $M)"

mkdir $M/p0 $M/mon_groups/m0
echo $$ >$M/p0/tasks
echo 1 >$M/p0/cpus_list
Wn $M/schemata "$(sed -n 's/^ *\(MB:.*\)='$MB_MAX'$/\1=50/p' $M/schemata)" >/dev/null
threshold=$(($(cat $M/info/L3_MON/max_threshold_occupancy) / 2))
echo $threshold >$M/info/L3_MON/max_threshold_occupancy
threshold=$(cat $M/info/L3_MON/max_threshold_occupancy)
exec 5<$M/schemata
check "abi-20 it unmounts with groups, tasks and CPUs in them" umount -l $M
is "abi-18 a new mount is busy while a file is open" EBUSY "$(mount_resctrl)"
exec 5<&-
is "abi-18 and works when it is closed" ok "$(mount_resctrl)"
is "abi-16 bandwidth is back at its maximum" "" "$(sed -n 's/^ *MB://p' $M/schemata | tr ';' '\n' | grep -v "=$MB_MAX\$")"
is "abi-17 the occupancy threshold stays" "$threshold" "$(cat $M/info/L3_MON/max_threshold_occupancy)"
check "abi-237 a task that was in a group is in root" grep -qx $$ $M/tasks
is "abi-20 groups are gone" "no" "$([ -e $M/p0 ] && echo yes || echo no)"
umount_resctrl

for options in foo cdp=1 CDP; do
	is "abi-4 option $options is refused" EINVAL "$(mount_resctrl $options)"
done
is "abi-6 nothing stays mounted after a refusal" "" "$(grep -w resctrl /proc/mounts)"
has_cdp && all=debug,cdp shown=cdp,debug unable=EINVAL || all=debug shown=debug unable=EOPNOTSUPP
cdpl2=$(mount_resctrl cdpl2)
# It should not be.
[ "$cdpl2" != ok ] || umount_resctrl
if [ "$VENDOR" = amd ]; then
	is "abi-8 mba_MBps is refused where limits are not linear" EINVAL "$(mount_resctrl mba_MBps)"
fi
if [ "$ARCH" = arm64 ]; then
	is "abi-8 mba_MBps is refused where counters are assigned" EINVAL "$(mount_resctrl mba_MBps)"
fi
if [ "$ARCH" = arm64 ] && ! has_cdp; then
	is "abi-225 cdp is for experts" EOPNOTSUPP "$(mount_resctrl cdp)"
	like "abi-289 the log says what an expert has to do" "*CDP not supported without the module's parameter expert=1*" \
		"$(dmesg | grep CDP)"
fi
is "abi-7 cdpl2 is refused without L2 CDP" $unable "$cdpl2"
is "abi-6 and a plain mount works then" ok "$(mount_resctrl)"
umount_resctrl

is "abi-9 it mounts with all options" ok "$(mount_resctrl $all)"
is "abi-9 /proc/mounts has the options in order" "rw,relatime,$shown" \
	"$(awk '$3 == "resctrl" { print $4 }' /proc/mounts)"
is "abi-202 debug shows the ids of root" "0 0" "$(cat $M/ctrl_hw_id $M/mon_hw_id | xargs)"
umount_resctrl

is "abi-21 it mounts read-only" ok "$(mount_resctrl ro)"
is "abi-21 mkdir is refused then" EROFS "$(errno mkdir $M/p0)"
is "abi-21 writing is refused then" EROFS "$(Wn $M/tasks $$)"
umount_resctrl

is "abi-5 an unprivileged user cannot mount" EPERM \
	"$(errno su -s /bin/sh nobody -c "mount -t resctrl resctrl $M")"

finish
