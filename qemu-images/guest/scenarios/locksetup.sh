#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Groups that set a pseudo-locked region up: what is made beside them, leaving without a free monitoring id, and unmounting meanwhile.
# needs: pseudo_lock l3.cdp l3.bits=12 l3.shared mb monitoring mon_groups<=100 l3.domains=2 l3.cpus=2
# machines: intel-pseudo-lock
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
Wn $M/schemata "L3:0=3f0;1=3f0" >/dev/null
mkdir $M/p0
accepted "its part of the cache" $M/p0/schemata "L3:0=f;1=f"
exec 7>$M/p0/cpus
accepted "a group sets up" $M/p0/mode pseudo-locksetup
is "abi-435 nor can who had a file open" "EINVAL, Pseudo-locking in progress" "$(errno sh -c 'echo 1 >&7'), $(lcs)"
exec 7>&-

# Beside it.
is "abi-430 a group is made beside it" ok "$(errno mkdir $M/p1)"
is "abi-430 what it is given is what no other has to itself" "L3:0=fff;1=fff" "$(sed -n 's/^ *L3/L3/p' $M/p1/schemata)"
# Tasks are in none that sets up.
[ ! -e /proc/self/cpu_resctrl_groups ] || cat /proc/self/cpu_resctrl_groups >/dev/null
Wn $M/p1/schemata "L3:0=3f0;1=3f0" >/dev/null
Wn $M/p1/cpus_list 1 >/dev/null
mkdir $M/p1/mon_groups/m
accepted "a CPU for a monitoring group" $M/p1/mon_groups/m/cpus_list 1
accepted "abi-431 it is taken away" $M/p1/mon_groups/m/cpus_list ""
is "abi-431 and its group has it" "1 " "$(cat $M/p1/cpus_list) $(cat $M/p1/mon_groups/m/cpus_list)"

# A group that sets up has no monitoring id: leaving takes one.
made=0
while answer=$(errno mkdir $M/mon_groups/m$made); [ "$answer" != ENOSPC ]; do
	# Those that were in use are free when the cache is known to be empty of what they counted.
	[ "$answer" = ok ] && made=$((made + 1)) || sleep 0.1
done
check "every other id is taken" [ $made -gt 0 ]
refused "abi-432 nobody leaves without an id" ENOSPC "Out of RMIDs" $M/p0/mode shareable
refused "abi-432 not for a group of its own either" ENOSPC "Out of RMIDs" $M/p0/mode exclusive
is "abi-432 it still sets up" pseudo-locksetup "$(cat $M/p0/mode)"
rmdir $M/mon_groups/m0
is "abi-432 with an id it leaves" ok "$(within 5 ok Wn $M/p0/mode exclusive)"
is "abi-432 for what was asked" exclusive "$(cat $M/p0/mode)"
umount_resctrl

# Unmounting.
mount_resctrl >/dev/null
Wn $M/schemata "L3:0=3f0;1=3f0" >/dev/null
is "ids are free again" "ok ok" "$(within 10 ok errno mkdir $M/p0) $(within 10 ok errno mkdir $M/p1)"
Wn $M/p1/schemata "L3:0=c;1=c" >/dev/null
accepted "a group sets up" $M/p1/mode pseudo-locksetup
region="abi-433 a locked region and its device go with the mount"
device() { [ -e /dev/pseudo_lock/p0 ] && echo yes || echo no; }
if [ "$IMPL" = kernel ]; then
	# It waits for a lock that it holds itself. Nothing of resctrl answers any more, and no CPU can come or go.
	fail "$region" "not tried"
	umount_resctrl
else
	Wn $M/p0/mode pseudo-locksetup >/dev/null
	locked="$(Wn $M/p0/schemata "L3:0=3") $(device)"
	umount_resctrl
	is "$region" "ok yes no" "$locked $(device)"
fi
mount_resctrl >/dev/null
is "abi-433 and so do groups" "" "$(cd $M && echo p*[0-9] | sed 's/^p\*.*//')"
is "abi-433 all of the cache is everybody's again" "L3:0=fff;1=fff" "$(sed -n 's/^ *L3/L3/p' $M/schemata)"
umount_resctrl
finish
