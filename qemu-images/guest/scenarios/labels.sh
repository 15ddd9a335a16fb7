#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# SELinux with a policy: who makes a group makes it with the labels that the policy asks for, they last, and they count.
# needs: x86 allocation llc_occupancy l3.domains>=2
# machines: intel
# append: security=selinux
# policy: labels
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

S=/sys/fs/selinux
label() {
	# the types of files $*
	for file; do
		resctrl-sys getxattr "$file" security.selinux | tr -d '\0' | cut -d: -f3
	done | xargs
}
relabel() {
	errno resctrl-sys setxattr "$1" security.selinux "user:object_r:$2"
}
mount -t selinuxfs none $S
is "the policy is loaded" 0 "$(dd if=/rig/labels.policy of=$S/load bs=1M 2>/dev/null; echo $?)"

mount_resctrl >/dev/null
is "abi-278 at first all is as whatever has no label" "other_t other_t other_t" \
	"$(label $M $M/tasks $M/info)"
mkdir $M/p0
is "abi-278 so is a group that is made in such a directory" "other_t other_t" "$(label $M/p0 $M/p0/schemata)"

# A tenant gets a group.
is "abi-278 a directory is relabelled" "ok tenant_t" "$(relabel $M/p0/mon_groups tenant_t) $(label $M/p0/mon_groups)"
is "abi-278 which is listed, as its attribute" "security.selinux" "$(resctrl-sys listxattr $M/p0/mon_groups)"
mkdir $M/p0/mon_groups/m0 $M/p0/mon_groups/special
is "abi-279 a group made there has the label that the policy asks for" groups_t "$(label $M/p0/mon_groups/m0)"
is "abi-279 also by its name" special_t "$(label $M/p0/mon_groups/special)"
is "abi-279 and what is in it inherits that" "groups_t groups_t groups_t" \
	"$(label $M/p0/mon_groups/m0/tasks $M/p0/mon_groups/m0/mon_data $M/p0/mon_groups/m0/mon_data/mon_L3_01/llc_occupancy)"
is "abi-279 or the label that whoever makes it asks for" chosen_t "$(
	resctrl-sys mkdir $M/p0/mon_groups/m1 755 user:object_r:chosen_t
	label $M/p0/mon_groups/m1
)"

# Nodes that nobody has in memory are read again.
before=$(label $M $M/p0 $M/p0/mon_groups $M/p0/mon_groups/m0 $M/p0/mon_groups/special/tasks)
sync
echo 3 >/proc/sys/vm/drop_caches
is "abi-280 labels outlive what is cached" "$before" \
	"$(label $M $M/p0 $M/p0/mon_groups $M/p0/mon_groups/m0 $M/p0/mon_groups/special/tasks)"
mv $M/p0/mon_groups/m0 $M/p0/mon_groups/m2
is "abi-280 and a new name" "groups_t groups_t" "$(label $M/p0/mon_groups/m2 $M/p0/mon_groups/m2/tasks)"

# In enforcing mode the policy decides.
is "abi-281 a file is closed" ok "$(relabel $M/p0/schemata secret_t)"
echo 1 >$S/enforce
is "abi-281 nobody reads it, not even root, and all else" "EACCES ok ok" \
	"$(errno cat $M/p0/schemata) $(errno cat $M/schemata) $(errno cat $M/p0/mon_groups/m2/tasks)"
echo 0 >$S/enforce
is "abi-281 it is open again" ok "$(errno cat $M/p0/schemata)"
umount_resctrl
mount_resctrl >/dev/null
mkdir $M/p0
is "abi-281 labels go with the mount" "other_t other_t" "$(label $M/p0/mon_groups $M/p0/schemata)"
umount_resctrl
finish
