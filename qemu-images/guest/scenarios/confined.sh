#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# AppArmor with a profile: who is confined by it makes, writes, renames and removes where the profile says so, and nowhere else.
# needs: x86 allocation llc_occupancy
# machines: intel
# run: asked
# append: security=apparmor
# policy: confined
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

S=/sys/kernel/security
[ -d $S/apparmor ] || mount -t securityfs none $S
is "the profile is loaded" "0 tenant (enforce)" "$(
	dd if=/rig/confined.policy of=$S/apparmor/.load bs=1M 2>/dev/null
	echo $?
) $(cat $S/apparmor/profiles)"

# confined COMMAND...: as the tenant; prints ok or the errno's name.
confined() {
	errno sh -c 'printf "changeprofile tenant" >/proc/self/attr/current && exec "$@"' sh "$@"
}
mount_resctrl >/dev/null
mkdir $M/own $M/other
is "abi-445 who is confined knows it" "tenant (enforce)" "$(
	sh -c 'printf "changeprofile tenant" >/proc/self/attr/current && cat /proc/self/attr/current'
)"
is "abi-445 the file of a group is read" ok "$(confined cat $M/other/schemata)"
is "abi-445 not the one that the profile denies, by root either" "EACCES ok" \
	"$(confined cat $M/info/last_cmd_status) $(errno cat $M/info/last_cmd_status)"
is "abi-445 a group is written to, another is not" "ok EACCES" \
	"$(confined resctrl-sys write $M/own/tasks 0) $(confined resctrl-sys write $M/other/tasks 0)"
is "abi-445 opening for writing is what is denied" EACCES "$(confined resctrl-sys open wronly $M/schemata)"
is "abi-446 groups are made where the profile says so" "ok ok EACCES EACCES" "$(confined resctrl-sys mkdir $M/own/mon_groups/a) $(
	confined resctrl-sys mkdir $M/other/mon_groups/guest) $(
	confined resctrl-sys mkdir $M/other/mon_groups/b) $(
	confined resctrl-sys mkdir $M/third)"
is "abi-446 and nothing is left of those that were denied" "guest" "$(ls $M/other/mon_groups)"
is "abi-446 a new name needs both places" "ok EACCES" "$(confined resctrl-sys rename $M/own/mon_groups/a $M/own/mon_groups/c) $(
	confined resctrl-sys rename $M/own/mon_groups/c $M/other/mon_groups/c)"
is "abi-446 groups are removed where the profile says so" "ok EACCES" \
	"$(confined rmdir $M/own/mon_groups/c) $(confined rmdir $M/other)"
is "abi-446 a mode is changed there, and not elsewhere" "ok EACCES" \
	"$(confined chmod 600 $M/own/tasks) $(confined chmod 600 $M/other/tasks)"
is "abi-446 mounting and unmounting is not allowed at all" EACCES "$(confined resctrl-sys umount $M)"
umount_resctrl
check "the profile can be removed" sh -c "printf tenant >$S/apparmor/.remove"
finish
