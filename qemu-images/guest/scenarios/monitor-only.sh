#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A machine that can monitor and not allocate.
# needs: x86 monitoring !allocation !telemetry
# snapshot: tree
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

is "it mounts" ok "$(mount_resctrl)"
find $M | sed "s,^$M,.," | sort | snapshot tree
is "abi-15 tasks, schemata and size read empty" "0 0 0" "$(cat $M/tasks | wc -c) $(cat $M/schemata | wc -c) $(cat $M/size | wc -c)"
is "abi-15 mode is shareable" shareable "$(cat $M/mode)"
is "there is only L3_MON in info" "L3_MON last_cmd_status" "$(ls $M/info | xargs)"
is "abi-116 no control group can be made" EPERM "$(Ws mkdir $M/p0)"
is "a monitoring group can" ok "$(Ws mkdir $M/mon_groups/m0)"
sleep 1000 &
task=$!
accepted "a task moves there" $M/mon_groups/m0/tasks $task
is "and is listed" $task "$(cat $M/mon_groups/m0/tasks)"
refused "abi-171 exclusive needs a cache" EINVAL "Cannot be exclusive without CAT/CDP" $M/mode exclusive
refused "abi-143 no name is known" EINVAL "Unknown or unsupported resource name 'L3'" $M/schemata "L3:0=f"
is "abi-6 cdp is refused" EINVAL "$(umount_resctrl; mount_resctrl cdp)"
is "abi-7 cdpl2 is refused" EINVAL "$(mount_resctrl cdpl2)"
is "and it mounts without" ok "$(mount_resctrl)"
kill $task
umount_resctrl
finish
